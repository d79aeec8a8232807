"""Flags of groups, `--env.episode 60D --ppo.entropy 0.01`, are NAME=VALUE in another form, and
--help lists them all.
"""

from __future__ import annotations

import dataclasses
import sys
from typing import Any

import pytest

import agents
from experiments import benchmark, calibrate, population, surface, train
from experiments.core.cli import run
from experiments.core.groups import ELSEWHERE, parse
from experiments.core.run_folder import RunError
from fundenv.config import EnvConfig
from fundenv.settings import SettingsError, describe


@pytest.mark.parametrize(
    ("script", "flags", "alias"),
    [
        (train, "--env.episode 60D", "--env episode=60D"),
        (train, "--env.episode none --env.allow-short-spot False", "--env episode=none x"),
        (train, "--env.keeper_interval=4h", "--env keeper_interval=4h"),
        (train, "--ppo.entropy 0.01 --ppo.hold-bias -1", "--params entropy=0.01 hold_bias=-1"),
        (train, "--agent sac --sac.leverage-grid 2 3", "--agent sac --params leverage_grid=[2,3]"),
        (train, "--ppo.carry-grid -1 1 --seed 3", "--params carry_grid=[-1,1] --seed 3"),
        (population, "--rllib_ppo.address auto", "--params address=auto"),
        (benchmark, "--ppo.entropy 0.01", "--params ppo.entropy=0.01"),
        (benchmark, "--ppo.rehearse 1", "--params ppo.rehearse=1"),  # a former name
        (benchmark, "--params sac.tau=0.1 --zscore.entry 2", "--params sac.tau=0.1 zscore.entry=2"),
        (calibrate, "--zscore.entry 2", "--params zscore.entry=2"),
    ],
)
def test_a_flag_is_the_same_as_name_and_value(script: Any, flags: str, alias: str) -> None:
    alias = alias.replace(" x", " allow_short_spot=False")
    one, other = parse(script.Args, flags.split()), parse(script.Args, alias.split())
    assert dataclasses.replace(one, env=(), params=()) == dataclasses.replace(
        other, env=(), params=()
    )
    assert one.settings() == other.settings()
    bare = [tuple(text.replace(" ", "") for text in made.params) for made in (one, other)]
    assert bare[0] == bare[1]


def test_dials_are_words() -> None:
    args = parse(train.Args, ["--env.dials", "carry", "leverage"])
    assert EnvConfig.from_dict(args.settings()).dials == ("carry", "leverage")


@pytest.mark.parametrize(
    ("script", "words", "said"),
    [
        (train, "--env.episod 60D", "unknown setting 'episod'; did you mean episode?"),
        (train, "--ppo.entrop 1", "agent ppo has no parameter 'entrop'; did you mean entropy"),
        (train, "--pppo.entropy 1", "unknown agent 'pppo'; did you mean ppo"),
        (train, "--sac.tau 1", "--sac.*: the agent of this run is ppo; give --agent sac"),
        (train, "--env.venue okx", "--env.venue: give --venue in its place"),
        (surface, "--agents x --ppo.entropy 1", "--ppo.entropy: this command has no such group"),
    ],
)
def test_a_wrong_flag_is_one_line(script: Any, words: str, said: str) -> None:
    with pytest.raises((RunError, SettingsError)) as error:
        parse(script.Args, words.split())
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["venue=okx", "cash_rate=0.02"])
def test_what_has_a_flag_of_its_own_is_not_set_behind_its_back(text: str) -> None:
    """The market is read, and the hurdle taken, by the flag: the env alone would follow."""
    with pytest.raises(RunError, match="in its place"):
        parse(train.Args, ["--env", text]).settings()


@pytest.mark.parametrize(
    ("script", "words", "groups"),
    [
        (train, [], ["ppo"]),
        (train, ["--agent", "sac"], ["sac"]),
        (benchmark, [], ["ppo", "zscore"]),
    ],
)
def test_help_lists_every_setting_with_its_default(
    script: Any,
    words: list[str],
    groups: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(sys, "argv", ["script", *words, "--help"])
    with pytest.raises(SystemExit):
        run(script.Args, script.main, "Text.")
    page = " ".join(capsys.readouterr().out.replace("│", " ").split())
    kinds = {"env": EnvConfig} | {name: agents.agent_class(name).parameters for name in groups}
    for group, kind in kinds.items():
        for row in describe(kind):
            if (group, row.name) not in {("env", name) for name in ELSEWHERE}:
                assert f"--{group}.{row.name.replace('_', '-')} " in page
                assert f"(default: {row.default})" in page
