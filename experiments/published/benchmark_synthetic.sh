#!/usr/bin/env bash
# The default comparison on the embedded market.
set -euo pipefail
python -m experiments.benchmark --out runs/benchmark-synthetic --seeds 3 "$@"
