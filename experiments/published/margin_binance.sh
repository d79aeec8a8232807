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
python -m experiments.studies.one_capital --data "$data"
