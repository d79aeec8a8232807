"""What prepares or supports the training of a learner; no agent acts through it."""
