#!/usr/bin/env bash
# The coins and the years of benchmark_binance.sh, with the rules and PPO held to leverage 2. FUNDENV_DATA is the folder of the data files.
set -euo pipefail
python -m experiments.benchmark --data "${FUNDENV_DATA:?set it to the folder of the data files}" \
    --symbols BTCUSDT ETHUSDT XRPUSDT LTCUSDT ADAUSDT --train 2020-02-01:2024-06-30 --test 2024-07-01:2025-06-30 \
    --agents flat carry ewma ppo --params ppo.imitate_leverage=2 ppo.leverage_grid=2 carry.leverage=2 ewma.leverage=2 \
    --folds 0 --out runs/benchmark-leverage-2 "$@"
