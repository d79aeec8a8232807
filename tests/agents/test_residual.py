"""Residual over a rule: an untrained one is the rule, the rule follows the episodes, and learning
departs from it where that pays.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import agents
from agents import AgentError
from agents.registry import agent_classes
from agents.sb3.ensemble import joined
from agents.training.residual import Advice, AdvisedAccounts, read_rule
from experiments.rollout.make import roll_out
from experiments.solvable import Judge
from experiments.studies.solvable_tasks import Task, make_agent
from fundenv.batch.cpu import Batch
from fundenv.market import Market, joint, synthetic_market
from tests.agents.refused import refused_in_one_line

START: dict[str, Any] = {"imitate": 0, "counterfactual_rounds": 0}
TINY: dict[str, Any] = START | {
    "n_envs": 16,
    "n_steps": 16,
    "batch_size": 64,
    "hidden": 8,
    "episode_days": 5,
    "learning_rate": 0.01,
    "leverage_grid": [2.0, 3.0],
}
RULE = "ewma span=30 enter=0.1 exit=-0.3 leverage=3.0"
SHORT = "zscore entry=0.5 exit=0.0 window=4 leverage=2.0"  # a rate that it counts twice shows
ZSCORE = "zscore entry=1.0 exit=0.2 window=30 stop=0.01 leverage=2.0"


@pytest.fixture(scope="module")
def market() -> Market:
    return synthetic_market(years=0.5, paths=2, seed=3)


def one_width(market: Market) -> int:
    return len(Batch(1, market=market, actions="target").observation_table)


def residual_rules() -> list[str]:
    """All rules that a policy may start from, without those whose market has forecasts."""
    return [
        name
        for name, kind in agent_classes().items()
        if not kind.learns
        and not kind.sees_future
        and kind().env_settings() == {"actions": "target"}
        and not name.startswith("forecast")
    ]


def untrained(rule: str, market: Market) -> Any:
    agent: Any = agents.make("ppo", **TINY, residual=rule)
    agent.learn(market, {}, steps=0, seed=0)
    return agent


@pytest.mark.parametrize(
    "rule", [RULE, ZSCORE, "carry leverage=2.0", "flat", "har enter=0.2 exit=0.0"]
)
@pytest.mark.parametrize("assets", [1, 2])
def test_an_untrained_residual_is_the_rule_to_the_bit(
    rule: str, assets: int, market: Market
) -> None:
    spoken = market if assets == 1 else joint(market, [names[0] for names in market.symbols])
    own, copy = roll_out(read_rule(rule), spoken, {}), roll_out(untrained(rule, spoken), spoken, {})
    for one, other in zip(own, copy, strict=True):
        np.testing.assert_array_equal(one.equity, other.equity)
        np.testing.assert_array_equal(one.turnover, other.turnover)
    if rule != "flat":
        assert sum(one.turnover.sum() for one in own) > 0


def new_advice(batch: Any) -> Advice:
    return Advice(read_rule(SHORT), batch, (0.0, 1.0), (2.0, 3.0))


def test_the_rule_follows_the_training_to_the_last_state_of_every_episode(market: Market) -> None:
    """Against a rule of its own for every environment, made anew where an episode begins."""
    agent: Any = agents.make("ppo", **TINY, residual=SHORT)
    env = agent.training_env(market, {}, 7)
    width, n = len(env.batch.observation_table), env.num_envs
    env.seed(7)
    obs, rules = env.reset(), [new_advice(env.batch) for _ in range(n)]
    rng, ended = np.random.default_rng(0), 0
    for _ in range(40):
        for i, rule in enumerate(rules):
            np.testing.assert_array_equal(obs[i, width:], rule.of(obs[i : i + 1, :width])[0])
        obs, _, dones, infos = env.step(
            np.stack([rng.integers(0, 3, n), rng.integers(0, 2, n)], axis=1)
        )
        for i in np.flatnonzero(dones):
            last = infos[i]["terminal_observation"]
            np.testing.assert_array_equal(last[:width], env.batch.final_obs[i])
            np.testing.assert_array_equal(last[width:], rules[i].of(last[None, :width])[0])
            rules[i], ended = new_advice(env.batch), ended + 1
    assert ended >= 2 * n


def test_an_episode_that_ends_leaves_the_memory_of_the_others_alone(market: Market) -> None:
    """Environments that step through recorded observations and jump to another place now and then,
    each at a time of its own.
    """
    batch = Batch(8, market=market, actions="target", start_invested=0.5)
    rng, seen = np.random.default_rng(0), [batch.reset(1).copy()]
    for _ in range(60):
        asked = np.tile([0.0, 1.0, 1.0, 2.0], (8, 1))
        asked[:, :2] = rng.integers(0, 2, (8, 2))
        batch.step(asked)
        seen.append(batch.obs.copy())
    tape, own = np.stack(seen), np.arange(8)
    at, advice, rules = np.zeros(8, int), new_advice(batch), [new_advice(batch) for _ in range(8)]
    np.testing.assert_array_equal(
        advice.begin(tape[at, own]),
        [rule.of(tape[0, i : i + 1])[0] for i, rule in enumerate(rules)],
    )
    for _ in range(50):
        ends, ended = tape[at + 1, own], rng.random(8) < 0.2
        at = np.where(ended | (at + 1 == len(tape) - 1), rng.integers(0, 40, 8), at + 1)
        ended |= (tape[at, own] != ends).any(axis=1)
        now, last = advice.follow(tape[at, own], ends, ended)
        for i in range(8):
            if ended[i]:
                np.testing.assert_array_equal(last[i], rules[i].of(ends[i : i + 1])[0])
                rules[i] = new_advice(batch)
            np.testing.assert_array_equal(now[i], rules[i].of(tape[at[i], i : i + 1])[0])


@pytest.mark.parametrize("rule", residual_rules())
def test_a_training_keeps_every_rule_in_its_files(rule: str, market: Market) -> None:
    """A copied state, through a file and into the rule of another batch, gives the same advice."""
    one, other = (
        Advice(read_rule(rule), batch, (-1.0, 0.0, 1.0), (1.0, 3.0))
        for batch in (Batch(4, market=market, actions="target") for _ in range(2))
    )
    obs = np.random.default_rng(0).normal(size=(40, 4, one_width(market))).astype(np.float32)
    for seen in obs[:20]:
        one.of(seen)
    other.restore(pickle.loads(pickle.dumps(one.state())))
    for seen in obs[20:]:
        np.testing.assert_array_equal(one.of(seen), other.of(seen))


def test_a_rule_that_the_grids_lack_counts_as_the_nearest(market: Market) -> None:
    agent = untrained("carry leverage=2.6", market)
    batch = Batch(4, market=market, **agent.env_settings() | {"start_invested": 0.0})
    agent.bind(batch)
    agent.reset()
    np.testing.assert_array_equal(agent.act(batch.reset(0)), [[2, 1]] * 4)  # full carry, leverage 3


def test_learning_departs_from_the_rule_where_that_pays() -> None:
    """Problem A without cost, where the sign of a signal decides: always-on carry earns nothing,
    the optimum all.
    """
    task = Task(
        problem="linear",
        agent="ppo",
        steps=25_000,
        env={"reward_scale": 0.1, "episode": "4h"},
        params=START
        | {
            "n_envs": 128,
            "n_steps": 16,
            "batch_size": 512,
            "epochs": 6,
            "gamma": 0.95,
            "learning_rate": 2e-3,
            "observations": "all",
        }
        | {"residual": "carry leverage=1.0", "residual_bias": 2.0},
        numbers={"cost": 0.0},
    )
    agent, env = make_agent(task, seed=0)
    judge = Judge(task, agent)
    assert abs(judge.share()) < 20.0
    agent.model.learn(task.steps)
    env.close()
    assert judge.share() > 80.0


def test_a_saved_residual_acts_as_before_alone_and_in_an_ensemble(
    market: Market, tmp_path: Path
) -> None:
    from stable_baselines3 import PPO

    agent: Any = agents.make("ppo", **TINY, residual=RULE)
    agent.learn(market, {}, steps=512, seed=0)
    agent.save(tmp_path)
    with pytest.raises(AgentError, match="asks a rule that is bound to no env yet"):
        agents.load(tmp_path).act(np.zeros((1, 44), np.float32))
    each = [agent, agents.load(tmp_path), joined([tmp_path])]
    walks = [roll_out(one, market, {}) for one in each]
    for one in walks[1:]:
        np.testing.assert_array_equal(one[0].equity, walks[0][0].equity)
    batch = Batch(8, market=market, **agent.env_settings())
    agent.bind(batch)
    obs = batch.reset(1).copy()
    agent.reset()
    wide = agent.seen(obs)
    agent.reset()
    plain = PPO.load(tmp_path / "model.zip", device="cpu")
    np.testing.assert_array_equal(plain.predict(wide, deterministic=True)[0], agent.act(obs))


def test_counterfactual_training_asks_the_rule_in_the_state_of_every_account(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The account that is never invested is told to enter, those that always are to hold; and the
    policy then learns from it.
    """
    played: list[Any] = []
    play = AdvisedAccounts.play
    monkeypatch.setattr(
        AdvisedAccounts, "play", lambda self, seed: played.append(play(self, seed)) or played[-1]
    )
    agents_ = [
        agents.make(
            "ppo", **TINY | {"counterfactual_rounds": rounds}, residual="carry leverage=3.0"
        )
        for rounds in (0, 1)
    ]
    for agent in agents_:
        assert isinstance(agent, agents.Learner)
        agent.learn(market, {}, steps=0, seed=0)
    first = played[0].obs[:, 0, :, -5:]
    assert len(played) == 1
    np.testing.assert_array_equal(first[0], [[0, 0, 1, 0, 1]] * TINY["n_envs"])
    for account in first[1:]:
        np.testing.assert_array_equal(account, [[1, 0, 0, 0, 1]] * TINY["n_envs"])
    before, after = (agent.model.policy.action_net.weight for agent in agents_)  # type: ignore[attr-defined]
    assert (before != after).any()


@pytest.mark.parametrize(
    ("params", "said"),
    [
        (
            {"residual": "ewma"},
            "residual = 'ewma' is a start of its own, without imitate = 60000; set imitate = 0",
        ),
        (START | {"residual": "ewmaa"}, r"unknown agent 'ewmaa'; did you mean ewma\?"),
        (
            START | {"residual": "ewma spam=3"},
            r"agent ewma has no parameter 'spam'; did you mean span\?",
        ),
        (START | {"residual": "ewma span"}, "after the rule, span: expected NAME=VALUE"),
        (START | {"residual": "clairvoyant"}, "clairvoyant knows the future; choose one of"),
        (START | {"residual": "sac"}, "sac has to be trained; choose one of"),
        (START | {"residual": "random"}, "random is no rule; choose one of"),
        (
            START | {"residual": "ewma", "kind": "continuous"},
            "starts gates from a rule, and kind = 'continuous' has none",
        ),
        (START | {"residual": 3}, "residual = 3: expected a text"),
    ],
)
def test_what_is_no_rule_is_refused_in_one_line(params: dict[str, Any], said: str) -> None:
    refused_in_one_line("ppo", params, said)


def test_tensors_have_no_columns_for_it() -> None:
    with pytest.raises(
        AgentError,
        match=(
            "residual = 'ewma' needs columns beside the observations, which tensors do not have;"
            " use ppo"
        ),
    ):
        agents.make("device_ppo", **START, residual="ewma")
