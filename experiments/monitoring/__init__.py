"""What the monitor is made of: what it hears, what it works out, when it calls, and its page."""
