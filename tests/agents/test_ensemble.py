"""Several trained agents decide as one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import agents
from agents import AgentError
from agents.sb3.ensemble import joined
from experiments.core.run_folder import RunError
from experiments.evaluate import agent_of
from fundenv.batch.cpu import Batch
from fundenv.market import Market, synthetic_market

TINY: dict[str, dict[str, Any]] = {
    "ppo": {
        "n_envs": 8,
        "n_steps": 16,
        "batch_size": 64,
        "hidden": 8,
        "imitate": 0,
        "counterfactual_rounds": 0,
        "learning_rate": 0.01,
        "hold_bias": 0.0,
    },
    "sac": {"n_envs": 4, "batch_size": 16, "hidden": 8, "learning_starts": 16, "buffer_size": 256},
}


@pytest.fixture(scope="module")
def market() -> Market:
    return synthetic_market(years=0.5, paths=2, seed=3)


@pytest.fixture(scope="module")
def folder(market: Market, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders ppo-0, ppo-1, sac-0, sac-1, zones-0, zones-1, wide-0, whose leverages differ from
    those of ppo-0, and loud-0 with rewards ten times sac-0's.
    """
    out = tmp_path_factory.mktemp("trained")
    made: dict[str, tuple[str, dict[str, Any]]] = {
        "ppo": ("ppo", {}),
        "sac": ("sac", {}),
        "zones": ("sac", {"kind": "zones"}),
    }
    made |= {"wide": ("ppo", {"leverage_grid": (1.0, 2.0)}), "loud": ("sac", {"reward_scale": 5.0})}
    for label, (name, more) in made.items():
        for seed in range(1 if label in ("wide", "loud") else 2):
            agent: Any = agents.make(name, **TINY[name] | more)
            agent.learn(market, {}, steps=128, seed=seed)
            agent.save(out / f"{label}-{seed}")
    return out


def observations(agent: Any, market: Market) -> np.ndarray:
    """Of 256 accounts, half of them invested."""
    batch = Batch(256, market=market, **agent.env_settings() | {"start_invested": 0.5})
    agent.bind(batch)
    return batch.reset(1).copy()


def pair(folder: Path, label: str) -> Any:
    return joined([folder / f"{label}-{seed}" for seed in (0, 1)])


def test_ppo_chooses_by_the_mean_log_probability_of_each_head(folder: Path, market: Market) -> None:
    ensemble = pair(folder, "ppo")
    obs = observations(ensemble, market)
    with torch.no_grad():
        each = [
            member.model.policy.get_distribution(torch.as_tensor(obs)).distribution
            for member in ensemble.members
        ]
    wanted = np.stack(
        [
            (one.logits + other.logits).argmax(dim=1).numpy()
            for one, other in zip(*each, strict=True)
        ],
        axis=1,
    )
    np.testing.assert_array_equal(ensemble.act(obs), wanted)
    for member in ensemble.members:  # or the test says little
        assert (member.act(obs) != wanted).any()


def test_sac_chooses_by_the_mean_of_the_critics(folder: Path, market: Market) -> None:
    ensemble = pair(folder, "sac")
    obs = observations(ensemble, market)
    with torch.no_grad():
        values = sum(
            member.model.policy.q_net(torch.as_tensor(obs)).numpy() for member in ensemble.members
        )
    np.testing.assert_array_equal(
        ensemble.act(obs), ensemble.members[0].translated(values.argmax(axis=1))
    )
    assert all((member.act(obs) != ensemble.act(obs)).any() for member in ensemble.members)


@pytest.mark.parametrize("act_by", ["actor", "critic"])
def test_zones_average_the_gaussian_means_or_the_critics(
    folder: Path, market: Market, act_by: str
) -> None:
    ensemble = pair(folder, "zones")
    for member in ensemble.members:
        object.__setattr__(member.params, "act_by", act_by)
    obs = observations(ensemble, market)
    models = [member.model for member in ensemble.members]
    with torch.no_grad():
        if act_by == "actor":
            chosen = (
                sum(
                    model.actor(torch.as_tensor(obs), deterministic=True).numpy()
                    for model in models
                )
                / 2
            )
        else:
            from agents.sb3.zones import candidates

            trials = [np.repeat(candidate[None], len(obs), axis=0) for candidate in candidates()]
            value = [
                sum(
                    sum(m.critic(torch.as_tensor(obs), torch.as_tensor(t))) for m in models
                ).numpy()[:, 0]
                for t in trials
            ]
            chosen = candidates()[np.argmax(value, axis=0)]
    np.testing.assert_allclose(ensemble.act(obs), ensemble.members[0].translated(chosen), rtol=1e-6)


def test_an_ensemble_of_one_acts_as_its_member(folder: Path, market: Market) -> None:
    for label in ("ppo-0", "sac-1", "zones-1"):
        member: Any = agents.load(folder / label)
        obs = observations(member, market)
        alone = joined([folder / label])
        alone.bind(Batch(1, market=market, **alone.env_settings()))
        np.testing.assert_array_equal(alone.act(obs), member.act(obs))


def test_drawn_actions_come_from_every_member(folder: Path, market: Market) -> None:
    ensemble = pair(folder, "ppo")
    obs = observations(ensemble, market)
    # members that always say the same, each another gate
    for number, member in enumerate(ensemble.members):
        member.act = lambda obs, *, deterministic=True, gate=number: np.full((len(obs), 2), gate)
    drawn = ensemble.act(obs, deterministic=False)
    assert 0.4 < drawn[:, 0].mean() < 0.6
    np.testing.assert_array_equal(drawn[:, 0], drawn[:, 1])


def test_a_saved_ensemble_acts_as_before_and_drops_members_it_no_longer_has(
    folder: Path, market: Market, tmp_path: Path
) -> None:
    ensemble = pair(folder, "sac")
    obs = observations(ensemble, market)
    ensemble.save(tmp_path)
    again: Any = agents.load(tmp_path)
    assert (again.name, len(again.members)) == ("sac_ensemble", 2)
    assert again.provenance == ensemble.provenance
    again.bind(Batch(1, market=market, **again.env_settings()))
    np.testing.assert_array_equal(again.act(obs), ensemble.act(obs))
    joined([folder / "sac-1"]).save(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint.json", "member-0"]


def test_scripts_take_folders_joined_by_plus_and_patterns(folder: Path) -> None:
    one: Any = agent_of(f"{folder}/ppo-0+{folder}/ppo-1")
    other: Any = agent_of(f"{folder}/ppo-*")
    third: Any = agent_of(f"{folder}/ppo-[01]")
    assert (one.name, len(one.members), len(other.members), len(third.members)) == (
        "ppo_ensemble",
        2,
        2,
        2,
    )
    with pytest.raises(RunError, match=r"no folder '.*/ddpg-\*' holds checkpoint.json"):
        agent_of(f"{folder}/ddpg-*")
    with pytest.raises(
        RunError, match="agent ppo_ensemble has to be trained first; give the folder"
    ):
        agent_of("ppo_ensemble")


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (
            ("ppo-0", "wide-0"),
            (
                r"agent ppo_ensemble: its members have different leverage_grid, \(2.0, 3.0, 5.0\)"
                r" and \(1.0, 2.0\)"
            ),
        ),
        (("ppo-0", "sac-0"), "agent ppo_ensemble is made of ppo, not of sac; leave it out"),
        (
            ("sac-0", "zones-0"),
            "agent sac_ensemble: its members have different kind, 'discrete' and 'zones'",
        ),
        (
            ("sac-0", "loud-0"),
            "agent sac_ensemble: its members have different reward_scale, 0.5 and 5.0",
        ),
    ],
)
def test_members_that_do_not_agree_are_refused(
    folder: Path, labels: tuple[str, ...], said: str
) -> None:
    with pytest.raises(AgentError, match=said):
        joined([folder / label for label in labels])


def test_an_ensemble_without_members_and_of_rules_says_so(tmp_path: Path) -> None:
    with pytest.raises(AgentError, match="agent ppo_ensemble has no members"):
        agents.make("ppo_ensemble").act(np.zeros((1, 4), np.float32))
    agents.make("ewma").save(tmp_path)
    with pytest.raises(
        AgentError, match="there is no ensemble of ewma; choose members of ppo or sac"
    ):
        joined([tmp_path])
