"""One trial: its identity, its run from the first weights to a result, and how its learner is evaluated."""
