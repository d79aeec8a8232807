#!/usr/bin/env bash
# Learned margin carry over five coins in portfolio margin: trained before half-years that it does not see, on subsets of the coins, against rules; then, with "judged", the year after 2024-06.
# A training takes about 25 s of one core, the walks of a half-year 30 s. Each part goes on where it stopped.
set -euo pipefail
data=${FUNDENV_DATA:?set it to the folder of the data files}
coins=(BTCUSDT ETHUSDT XRPUSDT LTCUSDT ADAUSDT)
out=runs/learned-margin
folds=(2020-02:2022-06/2022-07:2022-12 2020-02:2022-12/2023-01:2023-06 2020-02:2023-06/2023-07:2023-12 2020-02:2023-12/2024-01:2024-06)
[ "${1:-}" = judged ] && folds=(2020-02:2024-06/2024-07:2025-06) && out=$out-judged
python -m experiments.studies.portfolio_learning --data "$data" --symbols "${coins[@]}" \
    --learners learned_margin --seeds 3 --steps 6000000 --folds "${folds[@]}" \
    --rules "rotation leverage=2 band=0.5" margin_carry "margin_carry compare=1" "margin_carry compare=1 highest=4" \
    --out "$out"
