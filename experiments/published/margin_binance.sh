#!/usr/bin/env bash
# Portfolio margin on five coins: what leverage and rebalancing are worth, the rules selected on half-years, one capital line by line.
set -euo pipefail
data=${FUNDENV_DATA:?set it to the folder of the data files}
out=runs/margin-binance
python -m experiments.studies.margin --data "$data"
for rule in margin_carry rotation best_coin equal_weight volatility_bands; do
    draws=500
    [ "$rule" = margin_carry ] && draws=1000
    python -m experiments.studies.margin_selection --data "$data" --rule "$rule" --draws "$draws" --out "$out/$rule"
done
# the first order by growth, then the one in which every piece pays as much as BTC and ETH in 2024
python -m experiments.studies.margin_growth --data "$data" --fixed coins=1 --out "$out/growth_factors"
python -m experiments.studies.margin_growth --data "$data" --fixed coins=1 --level 0.075 --out "$out/growth_level"
python -m experiments.studies.one_capital --data "$data"
