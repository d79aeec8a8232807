#!/usr/bin/env bash
# The rules on five coins: calibrated on 2020-02 .. 2023-06, judged on the year after, then one look at the year after that.
set -euo pipefail
data=${FUNDENV_DATA:?set it to the folder of the data files}
coins=(BTCUSDT ETHUSDT XRPUSDT LTCUSDT ADAUSDT)
out=runs/calibrate-binance
python -m experiments.calibrate --data "$data" --symbols "${coins[@]}" --train 2020-02:2023-06 --test 2023-07:2024-06 --out "$out" --resume "$@"
python -m experiments.evaluate --data "$data" --symbols "${coins[@]}" --train 2020-02:2024-06 --test 2024-07:2025-06 \
    --agents flat carry ewma har dynamic_leverage zscore --calibrated "$out/calibrated.toml" --out "$out/look"
python -m experiments.evaluate --data "$data" --symbols "${coins[@]}" --train 2020-02:2024-06 --test 2024-07:2025-06 \
    --agents carry zscore --out "$out/look-uncalibrated"
