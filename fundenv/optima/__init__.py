"""What can be known exactly: optima of solvable problems, and what a trader with perfect foresight
could earn.
"""
