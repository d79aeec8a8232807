"""The search for the settings of rules, and what it found."""
