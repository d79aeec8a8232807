"""What the commands on paper accounts share."""
