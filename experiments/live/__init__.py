"""Parts of the commands on paper accounts."""
