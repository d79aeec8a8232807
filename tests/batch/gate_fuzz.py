"""Whatever is handed to a batch, by any face: it is taken, or refused in one line; the process
lives and every account stays whole. Run by `test_gate.py` in a process of its own, which may die.
"""

from __future__ import annotations

import sys
import warnings
from typing import Any

import gymnasium as gym
import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import fundenv  # noqa: F401  (registers)
from fundenv.batch import gate
from fundenv.batch.cpu import Batch
from fundenv.batch.saved_state import check_episodes
from fundenv.dynamics import types as t
from fundenv.envs.single import FundingHedgeEnv
from tests.markets import PLAIN_VENUE, wild_market

N, WIDTH = 4, 3
COMMON: dict[str, Any] = {
    "market": wild_market(5, paths=3, length=120),
    "venue": PLAIN_VENUE,
    "decision_interval": "4h",
    "episode": "2D",
}
BATCH = Batch(N, **COMMON, autoreset="same_step", randomize={"fee_scale": (0.5, 2.0)})
DISCRETE = Batch(N, **COMMON, actions="discrete")
SINGLE = FundingHedgeEnv(**COMMON)
VECTOR = gym.make_vec(
    "fundenv/FundingHedge-v0", num_envs=N, **COMMON, autoreset_mode="disabled", threads=2
)
FACES: list[Any] = [BATCH, DISCRETE, SINGLE.batch, VECTOR.unwrapped.batch]  # type: ignore[attr-defined]

shapes = st.sampled_from(
    [(N, WIDTH), (WIDTH, N), (N,), (WIDTH,), (), (1,), (0,), (N, 1), (1, N, WIDTH), (2 * N,)]
)
kinds = st.one_of(
    hnp.floating_dtypes(),
    hnp.integer_dtypes(),
    hnp.unsigned_integer_dtypes(),
    hnp.boolean_dtypes(),
    hnp.complex_number_dtypes(),
    hnp.datetime64_dtypes(),
    hnp.unicode_string_dtypes(max_len=3),
)
arrays = kinds.flatmap(lambda kind: hnp.arrays(kind, shapes))
masked = st.tuples(arrays, st.booleans()).map(lambda pair: np.ma.array(pair[0], mask=pair[1]))
numbers = st.one_of(st.integers(-(2**70), 2**70), st.floats(), st.booleans(), st.none())
nested = st.recursive(numbers | st.text(max_size=3), lambda inner: st.lists(inner, max_size=5))
anything = st.one_of(
    arrays,
    arrays,
    masked,
    nested,
    arrays.map(np.asfortranarray),
    arrays.map(lambda array: array.tolist()),
    arrays.map(lambda array: array[..., ::-1] if array.ndim else array),
    hnp.arrays(np.float32, (N, WIDTH), elements=st.floats(-2, 2, width=32)),
    hnp.arrays(np.bool_, (N,)),
    hnp.arrays(np.int64, (N,), elements=st.integers(0, 130)),
)

CALLS: dict[str, Any] = {
    "batch step": lambda x: BATCH.step(x),
    "discrete step": lambda x: DISCRETE.step(x),
    "single step": lambda x: SINGLE.step(x),
    "vector step": lambda x: VECTOR.step(x),
    "seed": lambda x: BATCH.reset(x),
    "single seed": lambda x: SINGLE.reset(seed=x),
    "vector seed": lambda x: VECTOR.reset(seed=x),
    "path": lambda x: BATCH.reset(paths=x),
    "start": lambda x: BATCH.reset(starts=x),
    "path and start": lambda x: BATCH.reset(1, x, x),
    "single path": lambda x: SINGLE.reset(options={"path": x}),
    "single start": lambda x: SINGLE.reset(options={"start": x}),
    "mask": lambda x: BATCH.reset(mask=x),
    "mask and seed": lambda x: BATCH.reset(x, mask=x),
    "vector mask": lambda x: VECTOR.reset(options={"reset_mask": x}),
    "state": lambda x: BATCH.restore(x),
    "ranges": lambda x: BATCH.randomize({"fee_scale": x}),
    "num_envs": lambda x: Batch(x, **COMMON) if not isinstance(x, int) or x < 9 else None,
    "per_env": lambda x: Batch(N, **COMMON, per_env={"cash_rate": x}),
    "per_env leverage": lambda x: Batch(N, **COMMON, per_env={"max_leverage": x}),
}
for name in ("params", "block", "episode", "obs", "of", "seeded"):
    CALLS[f"state {name}"] = lambda x, name=name: BATCH.restore(BATCH.state() | {name: x})


def _with_sb3() -> None:
    from fundenv.envs.sb3 import FundingHedgeVecEnv

    envs = FundingHedgeVecEnv(N, **COMMON)
    FACES.append(envs.batch)
    CALLS["sb3 step"] = lambda x: envs.step(x)


def _with_torch() -> None:
    import torch

    from fundenv.envs.torch import FundingHedgeTorchEnv

    envs = FundingHedgeTorchEnv(N, **COMMON)
    FACES.append(envs.batch)
    CALLS["torch step"] = lambda x: envs.step(x)
    CALLS["torch step of a tensor"] = lambda x: envs.step(torch.as_tensor(x))
    CALLS["torch seed"] = lambda x: envs.reset(x)


def _whole() -> None:
    """Every account is finite and stands where it may, and each batch can be stepped."""
    for batch in FACES:
        batch.step(np.zeros(batch.actions.shape, np.float32))
        assert np.isfinite(batch.store.account).all()
        assert np.isfinite(batch.obs).all()
        check_episodes(batch.store.episode, batch.world)


def _one_line(message: str) -> None:
    assert "\n" not in message, message


def _try(name: str, value: Any) -> None:
    try:
        CALLS[name](value)
    except (AssertionError, RecursionError):
        raise
    except Exception as error:
        ours = isinstance(error, ValueError | gym.error.Error)
        _one_line(str(error) if ours else "")
    for batch in FACES:  # an episode that has ended must be begun again in DISABLED mode
        batch.reset(mask=batch.store.episode[:, t.MUST_RESET] == 1)


@settings(
    max_examples=int(sys.argv[1]) if len(sys.argv) > 1 else 300,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(st.data())
def fuzz(data: Any) -> None:
    name = data.draw(st.sampled_from(sorted(CALLS)))
    _try(name, data.draw(anything))
    _whole()


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(
    st.integers(0, N - 1),
    st.integers(0, 7),
    st.one_of(st.integers(-3, 400), st.integers(-(2**63), 2**63 - 1)),
)
def fuzz_state(i: int, column: int, value: int) -> None:
    """A state of the right shape with one wrong number."""
    state = BATCH.state()
    state["episode"][i, column] = value
    try:
        BATCH.restore(state)
    except gate.ConfigError as error:
        _one_line(str(error))
    _whole()


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    for add in (_with_sb3, _with_torch):
        try:
            add()
        except ImportError as error:  # an extra that is not installed
            sys.stdout.write(f"without {error.name}\n")
    for each in FACES:
        each.reset(0)
    fuzz()
    fuzz_state()
    sys.stdout.write("alive\n")
