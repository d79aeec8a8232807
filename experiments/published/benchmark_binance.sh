#!/usr/bin/env bash
# Five coins on Binance: trained on 2020-02 .. 2024-06, judged on the year after. FUNDENV_DATA is the folder of the data files (data/README.md).
set -euo pipefail
python -m experiments.benchmark --data "${FUNDENV_DATA:?set it to the folder of the data files}" \
    --symbols BTCUSDT ETHUSDT XRPUSDT LTCUSDT ADAUSDT --train 2020-02-01:2024-06-30 --test 2024-07-01:2025-06-30 \
    --agents flat carry zscore ewma dynamic_leverage clairvoyant ppo sac ppo_ensemble sac_ensemble --folds 0 --out runs/benchmark-binance "$@"
