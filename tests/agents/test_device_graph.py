"""PPO on a device in two functions that a GPU captures: the rollout of the usual loop, updates of
stable-baselines3, and the same bits where the functions are recorded once and repeated.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from stable_baselines3.common.logger import Logger

import agents
from agents import AgentError
from agents.sb3.device.horizon import Horizon
from agents.sb3.device.rollout import unchecked
from agents.sb3.device.section import WARM, Section
from agents.sb3.device.update import Update
from fundenv.market import Market, synthetic_market
from tests.agents.device_learners import ROUND, of_assets, opens_in_plain_sb3, resumes, same_weights
from tests.agents.device_learners import SMALL as USUAL
from tests.agents.recorded_graph import Emulated, Refused, Refusing
from tests.agents.watching import Watching

SMALL = USUAL | {"learning_rate": 1e-3, "entropy": 0.01}
# of the trainings that are recorded: rollouts in which episodes of nine decisions end
SHORT = {"n_envs": 8, "n_steps": 10, "batch_size": 40, "epochs": 2}
ROUNDS = WARM + 3
HELD = ("observations", "actions", "rewards", "starts", "values", "log_probs", "advantages")


@pytest.fixture(scope="module")
def market() -> Market:
    return synthetic_market(years=0.5, paths=2, seed=3)


def learner(engine: str, **more: Any) -> Any:
    agent: Any = agents.make("device_ppo", engine=engine, **SMALL | more)
    agent.steps_wanted = 8 * ROUND
    return agent


def built(engine: str, market: Market, **more: Any) -> Any:
    """A model whose training has begun."""
    agent = learner(engine, **more)
    model = agent.build(agent.training_env(market, {}, 0), 0)
    model.set_logger(Logger(None, []))
    model._setup_learn(8 * ROUND, None)
    return model


def collect(model: Any) -> None:
    """One rollout, drawn with the same numbers by every model."""
    torch.manual_seed(5)
    _, callback = model._setup_learn(8 * ROUND, None, reset_num_timesteps=False)
    assert model.collect_rollouts(model.get_env(), callback, model.rollout_buffer, 24)


@pytest.mark.parametrize(
    ("assets", "more"), [(1, {}), (2, {}), (1, {"kind": "continuous"})], ids=["one", "two", "dials"]
)
def test_a_rollout_is_that_of_the_loop(market: Market, assets: int, more: dict[str, Any]) -> None:
    """Same weights, same draws, same envs: to the bits, but for rewards with the value of a final
    observation in them, which the loop values in smaller products.
    """
    played = of_assets(market, assets)
    loop, functions = (built(engine, played, **more) for engine in ("loop", "functions"))
    for model in (loop, functions):
        collect(model)
    usual, here = loop.rollout_buffer.held, functions.rollout_buffer.held
    assert usual["starts"][1:].sum() == 32
    for name in HELD:
        if name in ("rewards", "advantages"):
            np.testing.assert_allclose(here[name], usual[name], rtol=1e-5, atol=1e-6, err_msg=name)
        else:
            np.testing.assert_array_equal(here[name].numpy(), usual[name].numpy(), err_msg=name)


@pytest.mark.parametrize("more", [{}, {"kind": "continuous"}], ids=["choices", "dials"])
def test_an_update_is_that_of_stable_baselines3(market: Market, more: dict[str, Any]) -> None:
    """From the same rollout in the same order, to the rounding of a fused Adam."""
    loop, functions = (built(engine, market, **more) for engine in ("loop", "functions"))
    for model in (loop, functions):
        collect(model)
    for name, value in loop.rollout_buffer.held.items():
        functions.rollout_buffer.held[name].copy_(value)
    before = {name: value.clone() for name, value in loop.policy.state_dict().items()}
    for model in (loop, functions):
        torch.manual_seed(7)
        model.train()
    moved = 0.0
    for name, value in loop.policy.state_dict().items():
        moved = max(moved, float((value - before[name]).abs().max()))
        np.testing.assert_allclose(
            functions.policy.state_dict()[name], value, rtol=1e-4, atol=2e-6, err_msg=name
        )
    assert moved > 1e-3
    told, found = (model.logger.name_to_value for model in (loop, functions))
    names = {name for name in told if name.startswith("train/")}
    assert names == {name for name in found if name.startswith("train/")}
    for name in names - {
        "train/loss",
        "train/approx_kl",
    }:  # of the last minibatch, or the last pass
        assert found[name] == pytest.approx(told[name], rel=2e-3, abs=1e-6), name


@pytest.mark.parametrize(
    ("assets", "more"), [(1, {}), (2, {}), (1, {"kind": "continuous"})], ids=["one", "two", "dials"]
)
def test_a_recorded_training_repeats_the_bits_of_the_functions(
    market: Market, assets: int, more: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The learning rate and the entropy bonus fall from rollout to rollout, episodes end within
    rollouts, and the order of the samples is drawn anew: all of that must reach the record.
    """
    played = of_assets(market, assets)
    plain, recorded = (learner("functions", **SHORT, **more) for _ in range(2))
    plain.learn(played, {}, steps=ROUNDS * 80, seed=2)
    emulated = record(recorded, monkeypatch)
    told: list[dict[str, float]] = []
    watch = Watching(update=lambda steps, scalars: told.append(scalars) is None)
    recorded.learn(played, {}, steps=ROUNDS * 80, seed=2, callback=watch)
    assert emulated[0].records == 2
    assert emulated[0].replays == ROUNDS - WARM + ROUNDS * 2 * 2 - WARM
    same_weights(plain, recorded)
    rates = [each["train/learning_rate"] for each in told if "train/learning_rate" in each]
    assert len(rates) >= ROUNDS - 1
    assert rates == sorted(set(rates), reverse=True)


def record(agent: Any, monkeypatch: pytest.MonkeyPatch, make: Any = Emulated) -> list[Any]:
    """Let the model of `agent` record by `make`; returns a list that receives the recorder."""
    made: list[Any] = []
    build = agent.build

    def with_recorder(env: Any, seed: int) -> Any:
        model = build(env, seed)
        made.append(make((env.env, "step")))
        model.recorder = made[0]
        return model

    monkeypatch.setattr(agent, "build", with_recorder)
    return made


def test_where_the_recording_fails_a_warning_says_why_and_the_bits_stay(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Failing(Emulated):
        def __call__(self, function: Callable[[], None]) -> Callable[[], None]:
            raise RuntimeError("operation not permitted\nwhen stream is capturing")

    plain, failing = (learner("functions", **SHORT) for _ in range(2))
    plain.learn(market, {}, steps=ROUNDS * 80, seed=2)
    record(failing, monkeypatch, Failing)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        failing.learn(market, {}, steps=ROUNDS * 80, seed=2)
    texts = [str(each.message) for each in said if "CUDA graph" in str(each.message)]
    assert sorted(texts) == [
        f"{name} was not captured in a CUDA graph (operation not permitted when stream is"
        " capturing); every kernel of it is launched from Python"
        for name in ("the minibatch", "the rollout")
    ]
    same_weights(plain, failing)


def on_a_gpu(value: Any) -> Any:
    """A tensor without contents in the shape of `value`: on a device that the host cannot read."""
    return torch.empty_strided(value.size(), value.stride(), dtype=value.dtype, device="meta")


def move(owner: Any) -> None:
    """Replace the tensors among the attributes of an object."""
    for name, value in vars(owner).items():
        if isinstance(value, torch.Tensor):
            setattr(owner, name, on_a_gpu(value))


def place(env: Any, policy: Any, held: dict[str, Any], answer: Any) -> None:
    """Everything that a training on a GPU keeps there; the simulation answers every step with
    `answer` and does nothing.
    """
    *tensors, info = answer
    info = {name: on_a_gpu(value) for name, value in info.items()}
    seen = [on_a_gpu(value) for value in tensors]
    env.env = SimpleNamespace(obs=seen[0], info=info, step=lambda actions: (*seen, info))
    env.device, env.looks = torch.device("meta"), False
    move(env)
    move(env.potential)
    for name, value in held.items():
        held[name] = on_a_gpu(value)
    for module in policy.modules():
        for name, value in list(module.named_parameters(recurse=False)):
            module.register_parameter(name, torch.nn.Parameter(on_a_gpu(value)))
        for name, value in list(module.named_buffers(recurse=False)):
            module.register_buffer(name, on_a_gpu(value))
    policy.optimizer = torch.optim.Adam(policy.parameters(), lr=1e-3)


@pytest.mark.parametrize("more", [{}, {"kind": "continuous"}], ids=["choices", "dials"])
def test_on_a_gpu_nothing_waits_and_nothing_comes_from_the_host(
    market: Market, more: dict[str, Any]
) -> None:
    """The functions, the training reward and the potential on tensors without contents: what reads
    one on the host, and what copies from there, is refused.
    """
    model = built("functions", market, **SHORT, **more)
    env, policy = model.get_env(), model.policy
    held = model.rollout_buffer.held
    answer = env.env.step(torch.zeros(8, *env.action_space.shape))
    place(env, policy, held, answer)
    horizon = Horizon(policy, env, held, gamma=0.99, gae_lambda=0.95)
    update = Update(policy, held, 40, vf_coef=0.5, max_grad_norm=0.5)
    # torch's own step of a capturable Adam takes no tensors without contents
    update.optimizer.step = lambda: None
    with Refusing() as seen, unchecked():
        horizon.collect()
        update.minibatch()
        update.minibatch()
    assert seen.count > 500
    assert env.potential is not None


@pytest.mark.parametrize(
    "wrong",
    [
        lambda x: x.sum().item(),
        lambda x: float(x[0]),
        lambda x: x[x > 0],
        lambda x: x.nonzero(),
        lambda x: torch.multinomial(x.abs(), 1),
        lambda x: bool((x > 0).any()),
    ],
)
def test_the_recorder_refuses_what_a_capture_refuses(wrong: Callable[[Any], Any]) -> None:
    x = torch.linspace(-1, 1, 8)
    with pytest.raises(Refused):
        Emulated()(lambda: wrong(x))


def test_the_recorder_shows_a_number_of_python_and_a_replaced_tensor() -> None:
    """As a graph does: the equality of bits above would fail where either is in the functions."""
    x, total, rate = torch.ones(2), torch.zeros(2), [1.0]
    replay = Emulated()(lambda: total.add_(x * rate[0]))
    replay()
    rate[0] = 5.0
    replay()
    assert total.tolist() == [2.0, 2.0]
    owner = {"x": x}

    def replaces() -> None:
        owner["x"] = owner["x"] + 1

    replay = Emulated()(replaces)
    replay()
    replay()
    assert owner["x"].tolist() == [2.0, 2.0]


def test_a_section_does_its_work_once_a_call() -> None:
    done = torch.zeros(())
    section = Section(lambda: done.add_(1), name="work", recorder=Emulated())  # type: ignore[arg-type, return-value]
    for call in range(1, 8):
        section()
        assert done.item() == call
        assert section.recorded is (call > WARM)


def test_a_checkpoint_opens_in_plain_stable_baselines3_and_learns_on_there(
    market: Market, tmp_path: Path
) -> None:
    opens_in_plain_sb3(learner("functions"), market, tmp_path)


def test_it_resumes_bit_by_bit_on_the_cpu(market: Market, tmp_path: Path) -> None:
    resumes(lambda: learner("functions"), market, tmp_path, ROUND + 1)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"batch_size": 100}, "batch_size = 100 does not divide the 384 samples of a rollout; set"),
        ({"n_steps": 23, "batch_size": 16}, "n_steps = 23 is odd; set an even number, or engine"),
        ({"kind": "continuous", "sde": True}, "sde = True draws noise between the steps; set sde"),
    ],
)
def test_what_cannot_be_functions_is_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(AgentError, match=said):
        learner("functions", **settings)
    assert not learner("auto", device="cuda", **settings).params.by_functions()
    assert not learner("auto", **settings).params.by_functions()


def test_graphs_need_a_gpu_and_auto_takes_the_loop_on_the_cpu() -> None:
    with pytest.raises(AgentError, match="engine = 'graph' needs device = 'cuda', not 'cpu'"):
        learner("graph")
    assert not learner("auto").params.by_functions()
    assert learner("auto", device="cuda").params.by_functions()
