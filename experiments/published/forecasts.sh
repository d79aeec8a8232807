#!/usr/bin/env bash
# Forecasters of funding on five coins of Binance: fitted on what lay before each half-year, judged on 2024-07 .. 2025-06; the same four hours later; the year before, which chose nothing; two other coins; and the two coins of the first screening.
# Estimate from a loaded machine: 14, 5, 10, 1 and 1 minutes. `forecasts.sh PART` makes one of them: judged, delayed, year-before, other-coins, screening. Each goes on where it stopped.
set -euo pipefail
data=${FUNDENV_DATA:?set it to the folder of the data files}
coins=(BTCUSDT ETHUSDT XRPUSDT LTCUSDT ADAUSDT)
part() {
    [ -z "${wanted:-}" ] || [ "$wanted" = "$1" ] || return 0
    local out="runs/forecasts-binance/$1"
    shift
    [ ! -d "$out" ] || set -- "$@" --resume
    python -m experiments.forecast --data "$data" --out "$out" "$@"
}
wanted=${1:-}
five=(--symbols "${coins[@]}" --fit-from 2020-02)
part judged "${five[@]}" --test 2024-07:2025-06 --seeds 3 --worth --explain ridge boosting lstm
part delayed "${five[@]}" --test 2024-07:2025-06 --worth --delay-hours 4 \
    --forecasters ewma garch ridge boosting ensemble
part year-before "${five[@]}" --test 2023-07:2024-06 --seeds 3
part other-coins --symbols DOTUSDT TRXUSDT --fit-from 2020-02 --test 2024-07:2025-06 \
    --forecasters ewma garch ridge boosting ensemble
part screening --symbols BTCUSDT ETHUSDT --fit-from 2022-01 --test 2024-01:2025-06 --refit-months 12 \
    --forecasters ewma ar arima har garch ridge boosting residual_har nlinear
