"""What the systems share: the contract of systems and learners, and the parts that learners are made of."""
