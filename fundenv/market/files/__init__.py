"""Tables in files: columns, checks, known defects, settlements, alignment on one grid of bars."""
