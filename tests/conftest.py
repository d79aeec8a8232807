"""What all tests share: the repository's root on the path, so that helpers are imported as
`tests.markets` however pytest is started; and the order in which several workers take the files.
"""

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
LONG = ("slow", "learn")  # the marks of tests that take seconds each


def pytest_configure(config: Any) -> None:
    """pytest-xdist begins with the files that have most tests, and so ends with the long ones,
    which have few: one worker is alone at the end. It shall take them in the order collected.
    """
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


def pytest_collection_modifyitems(config: Any, items: list[Any]) -> None:
    """Files with long tests come first, where several workers share the tests."""
    if not hasattr(config, "workerinput"):
        return
    long = {item.path for item in items if any(map(item.get_closest_marker, LONG))}
    items.sort(key=lambda item: item.path not in long)
