"""What all tests share: the repository's root on the path, so that helpers are imported as
`tests.markets` however pytest is started.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
