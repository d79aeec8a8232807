#!/usr/bin/env bash
# The same comparison at other rates of idle cash, which set the whole ranking.
set -euo pipefail
for rate in 0.0 0.02 0.045; do
    bash "$(dirname "$0")/benchmark_binance.sh" --cash-rate "$rate" --out "runs/benchmark-binance-cash-$rate" "$@"
done
