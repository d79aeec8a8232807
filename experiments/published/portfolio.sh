#!/usr/bin/env bash
# One capital over five coins in portfolio margin: learners trained before half-years that they do not see, on subsets of the coins, against rules; then one look at the year after 2024-06; then accounts of one coin.
# Estimate, from short trainings on a loaded machine: PPO takes about 1 minute of one core (imitation 15 s, the env 0.17 s for 1,000 steps, loading), SAC about 80 s. The three parts take about 30, 25 and 15 minutes on two quiet cores. Each goes on where it stopped.
set -euo pipefail
data=${FUNDENV_DATA:?set it to the folder of the data files}
coins=(BTCUSDT ETHUSDT XRPUSDT LTCUSDT ADAUSDT)
out=runs/portfolio-binance
python -m experiments.studies.portfolio_learning --data "$data" --symbols "${coins[@]}" \
    --learners portfolio_ppo portfolio_sac --seeds 5 --headroom --out "$out/half-years"
[ "${1:-}" = half-years ] && exit  # before anything of the judged year is seen
spans=(--train 2020-02-01:2024-06-30 --test 2024-07-01:2025-06-30)
margin=(--env margin_mode=portfolio keeper_watches=equity)
rules=(flat rotation margin_carry best_coin equal_weight volatility_bands)
python -m experiments.benchmark --joint --data "$data" --symbols "${coins[@]}" "${spans[@]}" "${margin[@]}" \
    --agents "${rules[@]}" portfolio_ppo portfolio_sac --seeds 5 --folds 1 --resume --out "$out/joint"
python -m experiments.benchmark --data "$data" --symbols "${coins[@]}" "${spans[@]}" "${margin[@]}" capital=shared \
    --agents flat rotation margin_carry portfolio_ppo --seeds 5 --folds 0 --resume --out "$out/one-coin"
