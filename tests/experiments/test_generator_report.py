"""The report on made-up markets: its tables, its file and its pictures, with and without recorded
data.
"""

import pandas as pd
import pytest

from experiments.core.made_markets import stressed, training_market
from experiments.core.market_args import MarketArgs
from experiments.core.run_folder import RunError
from experiments.studies.generator_report import Args, main
from fundenv.market import SplitError, stack, synthetic_frames, synthetic_market, write_frames
from fundenv.market.synthetic.statistics import TARGETS


def test_without_data_the_generator_stands_beside_its_targets(tmp_path, capsys):
    main(Args(paths=2, years=0.5, out=tmp_path))
    rows = pd.read_csv(tmp_path / "facts.csv").set_index(["market", "fact", "of"])["value"]
    assert rows["btc: one asset", "funding_mean", "target"] == TARGETS[0][1]
    low, mean, high = (
        rows["btc: one asset", "volatility", f"generator{edge}"] for edge in (" 5 %", "", " 95 %")
    )
    assert low <= mean <= high
    assert (tmp_path / "btc.png").stat().st_size > 10_000
    shown = capsys.readouterr().out
    assert "autocorrelation of the rate, 90 settlements" in shown
    assert f"{mean:.2f} ({low:.2f} to {high:.2f})" in shown


def test_with_data_each_symbol_gets_its_own_columns(tmp_path):
    for symbol, preset in (("BTCX", "btc"), ("OTHER", "alt")):
        write_frames(
            synthetic_frames(preset, years=0.6, start="2022-01-01", symbol=symbol),
            tmp_path / "data",
            venue="binance",
        )
    main(
        Args(
            data=tmp_path / "data",
            symbols=("BTCX", "OTHER"),
            span="2022-02:2022-06",
            paths=1,
            years=0.5,
            out=tmp_path / "out",
        )
    )
    rows = pd.read_csv(tmp_path / "out" / "facts.csv")
    assert {"generator", "BTCX", "BTCX bootstrap", "target"} <= set(
        rows[rows["market"] == "btc: one asset"]["of"]
    )
    assert {"OTHER", "OTHER bootstrap"} <= set(rows[rows["market"] == "alt: one asset"]["of"])
    assert "BTCX OTHER" in set(rows[rows["market"] == "btc and alt"]["of"])
    assert sorted(path.name for path in (tmp_path / "out").glob("*.png")) == ["alt.png", "btc.png"]


def test_a_path_too_short_to_measure_is_refused(tmp_path):
    with pytest.raises(RunError, match=r"--years 0\.01"):
        main(Args(years=0.01, out=tmp_path))


# --- --train-on and --stress ----------------------------------------------------------------------


def test_training_markets_follow_the_symbols_of_the_history():
    history = stack([synthetic_market(preset, years=0.3) for preset in ("btc", "eth")])
    assert training_market(history, "history", 8, "binance") is history
    made = training_market(history, "generator", 2, "binance")
    assert [names[0] for names in made.symbols] == [
        "SYNTH-BTC-0",
        "SYNTH-BTC-1",
        "SYNTH-ETH-0",
        "SYNTH-ETH-1",
    ]
    resampled = training_market(history, "bootstrap", 1, "binance")
    assert [names[0] for names in resampled.symbols] == [
        "SYNTH-SYNTH-BTC-0-0",
        "SYNTH-SYNTH-ETH-0-0",
    ]
    side_by_side = training_market(
        synthetic_market(("btc", "alt"), years=0.3), "bootstrap", 1, "binance"
    )
    assert side_by_side.n_assets == 2
    with pytest.raises(RunError, match="--made-paths 0"):
        training_market(history, "generator", 0, "binance")


def test_stress_changes_the_test_span_alone():
    plain, shocked = (
        MarketArgs().markets(),
        MarketArgs(stress=("2020-03-12", "2025-10-10")).markets(),
    )
    assert shocked["train"].hash == plain["train"].hash
    assert shocked["test"].hash != plain["test"].hash
    assert len(shocked["test"].notes) == len(plain["test"].notes) + 2 * plain["test"].n_paths
    with pytest.raises(SplitError, match="expected one of 2020-03-12"):
        stressed(plain["test"], ("2019-01-01",))
