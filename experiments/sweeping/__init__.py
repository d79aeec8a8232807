"""The pieces of a sweep: its grid, its jobs, its table."""
