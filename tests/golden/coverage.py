"""Which venue rules are covered by how many published cases: `python -m tests.golden.coverage`
prints the table of README.md.
"""

import json
import sys
from collections import Counter
from pathlib import Path


def table():
    cases = json.loads(Path(__file__).with_name("cases.json").read_text(encoding="utf-8"))
    counted = Counter((case["venue"], case["kind"].replace("_", " ")) for case in cases)
    rows = [f"| {venue} | {kind} | {number} |" for (venue, kind), number in sorted(counted.items())]
    return (
        "\n".join(
            [
                "| venue | rule | published cases |",
                "|---|---|---|",
                *rows,
                f"| all | | {len(cases)} |",
            ]
        )
        + "\n"
    )


if __name__ == "__main__":
    sys.stdout.write(table())
