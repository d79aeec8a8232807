#!/usr/bin/env bash
# One capital over five coins in portfolio margin: learners trained before half-years that they do not see, on subsets of the coins and on each coin alone, against rules as they stand and calibrated on the same data; the last fold is the year after 2024-06. Then what the policies do, in pictures.
# `portfolio.sh rules` trains nobody, `portfolio.sh half-years` leaves out the judged year. SEEDS trainings of each learner in each fold (3); portfolio_ppo takes about 20 s of one core each, learned_margin 25 s; rules, calibrations and walks 8 minutes once. Each part goes on where it stopped.
set -euo pipefail
data=${FUNDENV_DATA:?set it to the folder of the data files}
coins=(BTCUSDT ETHUSDT XRPUSDT LTCUSDT ADAUSDT)
out=runs/portfolio-binance
folds=(2020-02:2022-06/2022-07:2023-06 2020-02:2023-06/2023-07:2024-06 2020-02:2024-06/2024-07:2025-06)
read -ra learners <<< "${LEARNERS:-learned_margin portfolio_ppo}"  # portfolio_sac takes 40 s a training
[ "${1:-}" != half-years ] || { folds=("${folds[@]:0:2}"); out=$out/half-years; }
[ "${1:-}" != rules ] || learners=()
python -m experiments.studies.portfolio_learning --data "$data" --symbols "${coins[@]}" --folds "${folds[@]}" \
    --learners "${learners[@]}" --seeds "${SEEDS:-3}" --step-counts learned_margin=6000000 \
    --rules ewma dynamic_leverage volatility_bands "rotation leverage=2 band=0.5" "margin_carry compare=1 highest=4" \
    --calibrated carry ewma dynamic_leverage volatility_bands rotation margin_carry zscore_basket \
    --slow "allocation leverage=2" "portfolio_clairvoyant leverage=3" \
    --singles --costs 1 2 --headroom --out "$out"
[ "${#learners[@]}" -gt 0 ] || exit 0
# agents of the first fold: they have seen nothing from 2022-07 on
shown=("$out/fold0-learned_margin-0" "$out/fold0-portfolio_ppo-0" "margin_carry compare=1 highest=4" "rotation leverage=2 band=0.5")
python -m experiments.studies.margin_policy --data "$data" --agents "${shown[@]}" \
    --symbols ADAUSDT --held 0 1.8 --span 2022-07:2025-06 --out "$out/policy.png"
python -m experiments.studies.portfolio_shocks --data "$data" --symbols "${coins[@]}" \
    --agents "${shown[@]}" --trained 2020-02:2022-06 --out "$out/shocks"
