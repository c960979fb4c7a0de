"""What the systems share: the contract of a learner, and the parts that learners are made of."""
