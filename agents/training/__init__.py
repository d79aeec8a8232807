"""Modules that prepare or support the training of a learner; none of them acts in an account."""
