"""`python -m fundenv` is the console command `fundenv`."""

import sys

from fundenv.command import main

if __name__ == "__main__":
    sys.exit(main())
