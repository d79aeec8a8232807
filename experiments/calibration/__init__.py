"""The search for the settings of rules, and its results."""
