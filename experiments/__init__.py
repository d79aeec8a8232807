"""Experiments: scripts that calibrate, train, evaluate, measure and compare."""

import sys
from importlib.util import find_spec

_ABSENT = [name for name in ("tyro", "rich", "tqdm") if find_spec(name) is None]
if _ABSENT:
    sys.exit(
        f"error: the scripts need {', '.join(_ABSENT)}, which the environment alone does not;"
        " install with: pip install 'fundenv[train]'"
    )
