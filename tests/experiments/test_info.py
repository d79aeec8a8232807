"""`fundenv info`: own venues, own agents, and misspelt topics."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments import info
from tests.experiments.called import Capture, called, refused


def test_info_prints_the_values_of_an_own_venue(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "my.toml"
    path.write_text(
        """
        extends = "binance"
        name = "binance"
        title = "Mine"
        [fees]
        perp_taker = {value = 0.00123, source = "mine", date = "2026-01"}
        [execution.lot_perp]
        MYUSDT = {value = 0.00125, source = "mine", date = "2026-01"}
        [[tiers.MYUSDT]]
        valid_from = 2019-01-01
        source = "mine"
        brackets = [[0, 50, 0.0123], [50e3, 20, 0.025]]
        """
    )
    assert called(info, "venue", str(path)) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    for wanted in (
        "fees.perp_taker 0.00123",
        "execution.lot_perp MYUSDT 0.00125",
        "MYUSDT 0: 50x 0.0123; 50,000: 20x 0.025",
        f"Sources and earlier values: {path}",
    ):
        assert any(line.startswith(wanted) for line in lines), wanted


@pytest.mark.parametrize(
    ("topic", "said"),
    [
        ("venu", "did you mean `info venues`?"),
        ("enb", "did you mean `info env`?"),
        ("okx", "did you mean `info venue okx`?"),
        ("ppoo", "did you mean ppo?"),
        ("nothing_like_it", "no topic and no agent; expected env, an agent, `venue NAME`"),
    ],
)
def test_info_names_the_nearest_topic(topic: str, said: str, capsys: Capture) -> None:
    assert said in refused(capsys, info, topic)


def test_info_takes_an_agent_of_your_own_by_its_path(capsys: Capture) -> None:
    # the name looks like the topic "agents"
    assert called(info, "agents.rules.flat:Flat") == 0
    assert "Holds nothing" in capsys.readouterr().out
