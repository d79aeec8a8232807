"""`benchmark --ray` and `sweep --ray`: the same run folders as without Ray, bit for bit, with a
worker and a node lost in the middle; Ctrl-C and resume; refusals in one line. A population that
loses a node.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import agents
from agents import AgentError
from experiments import benchmark, population, sweep
from experiments.benchmarking import jobs, trials
from experiments.core import ray_pool
from experiments.core.cli import Stopped
from experiments.core.run_folder import RunError
from experiments.sweeping import cells
from fundenv.envs import rllib
from fundenv.market import synthetic_market
from tests.experiments.conftest import SMALL

STEPS, SEEDS = 24_576, 2
WITHOUT = "Ray is not installed (pip install 'fundenv[rllib]')"


def arguments(out: Path, **more: Any) -> benchmark.Args:
    given: dict[str, Any] = {
        "agents": ("carry", "ppo"),
        "seeds": SEEDS,
        "steps": STEPS,
        "folds": 0,
        "cash_rates": (0.02,),
        "workers": 1,
        "params": SMALL[:-1],
        "train": "2020-01:2020-12",
        "test": "2022-01:2022-03",
    }
    return benchmark.Args(out=out, **given | more)


def hasty(do: Callable[..., None] = jobs.do) -> Callable[..., None]:
    """`do` with a checkpoint every 0.3 seconds; a closure, which Ray ships whole."""

    def work(job: Any, context: Any, reporter: Any) -> None:
        from experiments.benchmarking import training

        training.SAVE_SECONDS = 0.3
        do(job, context, reporter)

    return work


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head without CPUs and two nodes with one each."""
    ray = pytest.importorskip("ray", reason=WITHOUT)
    from ray.cluster_utils import Cluster

    room = {"object_store_memory": 100_000_000}
    made = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 0, "include_dashboard": False, **room},
    )
    made.nodes = [made.add_node(num_cpus=1, **room) for _ in range(2)]
    made.room = room
    try:
        yield made
    finally:
        ray.shutdown()
        made.shutdown()


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run without Ray."""
    out = tmp_path_factory.mktemp("plain") / "run"
    benchmark.main(arguments(out))
    return out


def workers() -> list[int]:
    """Process numbers of the workers of this test's own cluster that train."""
    parents: dict[int, int] = {}
    names: dict[int, str] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parents[int(folder.name)] = int(
                (folder / "stat").read_text().rsplit(")", 1)[1].split()[1]
            )
            names[int(folder.name)] = (folder / "cmdline").read_text().split("\0")[0]

    def mine(process: int) -> bool:
        while process > 1:
            if process == os.getpid():
                return True
            process = parents.get(process, 0)
        return False

    return [each for each, name in names.items() if name.startswith("ray::_task") and mine(each)]


def steps_done(out: Path, key: str) -> int:
    file = out / "agents" / key / "checkpoint.json"
    return int(json.loads(file.read_text())["steps_done"]) if file.is_file() else 0


def when(ready: Callable[[], bool], act: Callable[[], None], told: list[str]) -> threading.Thread:
    """Does `act` once `ready`, beside the test."""

    def wait() -> None:
        deadline = time.monotonic() + 300
        while not ready():
            if time.monotonic() > deadline:
                told.append("never ready")
                return
            time.sleep(0.02)
        act()
        told.append("done")

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


def same(one: Path, other: Path) -> None:
    """Two run folders hold the same results, and their logs the same trials, to the last bit."""
    same_results(one, other, SEEDS)
    same_trials(one, other)


def same_results(one: Path, other: Path, seeds: int) -> None:
    for name in (
        "results.parquet",
        "stress.parquet",
        *(f"daily/ppo-{k}.parquet" for k in range(seeds)),
    ):
        pd.testing.assert_frame_equal(
            pd.read_parquet(one / name), pd.read_parquet(other / name), check_exact=True
        )
    for k in range(seeds):
        a, b = (agents.load(out / "agents" / f"ppo-{k}").model.policy for out in (one, other))  # type: ignore[attr-defined]
        for name, value in a.state_dict().items():
            np.testing.assert_array_equal(b.state_dict()[name].numpy(), value.numpy(), err_msg=name)


def same_trials(one: Path, other: Path) -> None:
    begun, ended = (trials.read(out.parent / trials.LOG) for out in (one, other))
    assert sorted(begun["training"]) == sorted(ended["training"])
    assert list(begun.sort_values("training")["daily_sharpe"]) == list(
        ended.sort_values("training")["daily_sharpe"]
    )


@pytest.mark.slow
def test_a_worker_and_a_node_are_lost_and_every_bit_stays(
    cluster: Any, plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, told = tmp_path / "run", []
    monkeypatch.setattr(benchmark, "do", hasty())
    killed: list[int] = []

    def kill() -> None:
        killed.extend(workers())
        for each in killed:
            os.kill(each, signal.SIGKILL)

    def drop() -> None:
        cluster.remove_node(cluster.nodes.pop(), allow_graceful=False)

    threads = [
        when(lambda: 0 < steps_done(out, "ppo-0") < STEPS, kill, told),
        when(lambda: STEPS // 2 < steps_done(out, "ppo-1") < STEPS, drop, told),
    ]
    benchmark.main(arguments(out, ray=cluster.address))
    for thread in threads:
        thread.join(10)
    assert told == ["done", "done"]
    assert killed, "no worker was killed"
    same(plain, out)
    cluster.nodes.append(cluster.add_node(num_cpus=1, **cluster.room))


@pytest.mark.slow
def test_a_sweep_that_loses_a_worker_and_a_node_makes_the_same_cells(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def swept(out: Path, **more: Any) -> None:
        given = {name: getattr(arguments(out), name) for name in vars(arguments(out))}
        more |= {"agents": ("ppo",), "seeds": 1, "vary": ("ppo.entropy=0.005,0.02",)}
        sweep.main(sweep.Args(**given | more))

    plain, out, told = tmp_path / "plain" / "wide", tmp_path / "ray" / "wide", []
    swept(plain)
    names = [path.name for path in sorted(plain.glob("ppo.*"))]
    assert len(names) == 2
    monkeypatch.setattr(sweep, "do", hasty(cells.do))

    def kill() -> None:
        for each in workers():
            os.kill(each, signal.SIGKILL)

    def drop() -> None:
        cluster.remove_node(cluster.nodes.pop(), allow_graceful=False)

    threads = [
        when(lambda: 0 < steps_done(out / names[0], "ppo-0") < STEPS, kill, told),
        when(lambda: STEPS // 2 < steps_done(out / names[1], "ppo-0") < STEPS, drop, told),
    ]
    swept(out, ray=cluster.address)
    for thread in threads:
        thread.join(10)
    assert told == ["done", "done"]
    for name in names:
        same_results(plain / name, out / name, 1)
    same_trials(plain, out)
    pd.testing.assert_frame_equal(
        pd.read_parquet(plain / "results.parquet"),
        pd.read_parquet(out / "results.parquet"),
        check_exact=True,
    )
    cluster.nodes.append(cluster.add_node(num_cpus=1, **cluster.room))


@pytest.mark.slow
def test_a_member_of_a_population_puts_no_second_market_into_the_store(cluster: Any) -> None:
    import ray

    from agents.rllib.runner import start

    market = synthetic_market("btc", years=0.5, seed=0)

    def member(shared: rllib.Shared) -> list[bool]:
        fetched = rllib.fetch(shared)
        again, other = rllib.share(fetched), rllib.share(synthetic_market("eth", years=0.5, seed=0))
        return [each.reference == shared.reference for each in (again, other)]

    begun = start(cluster.address, 0, 0)
    try:
        assert ray.get(ray.remote(member).remote(rllib.share(market))) == [True, False]
    finally:
        if begun:
            ray.shutdown()


@pytest.mark.slow
def test_a_population_that_loses_a_node_ends_with_every_member_trained(
    cluster: Any, tmp_path: Path
) -> None:
    out, told, rounds, steps = tmp_path / "search", [], 2, 512

    def drop() -> None:
        cluster.remove_node(cluster.nodes.pop(), allow_graceful=False)

    thread = when(lambda: any(out.glob("tune/*/checkpoint_*")), drop, told)
    population.main(
        population.Args(
            population=2,
            rounds=rounds,
            steps=steps,
            params=("n_envs=16", "n_steps=16", "batch_size=128", "hidden=8"),
            address=cluster.address,
            out=out,
            train="2020-01:2020-12",
            test="2022-01:2022-03",
        )
    )
    thread.join(10)
    assert told == ["done"]
    members = json.loads((out / "population.json").read_text())
    assert [member["steps"] for member in members] == [rounds * steps] * 2
    best = json.loads((out / "best" / "checkpoint.json").read_text())
    assert best["steps_done"] == rounds * steps
    cluster.nodes.append(cluster.add_node(num_cpus=1, **cluster.room))


@pytest.mark.slow
def test_ctrl_c_leaves_checkpoints_from_which_a_run_without_ray_goes_on(
    cluster: Any, plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, told = tmp_path / "run", []
    monkeypatch.setattr(benchmark, "do", hasty())
    thread = when(
        lambda: steps_done(out, "ppo-0") > 0,
        lambda: os.kill(os.getpid(), signal.SIGINT),
        told,
    )
    with pytest.raises(Stopped, match=r"finished parts are kept in .* go on with --resume"):
        benchmark.main(arguments(out, ray=cluster.address))
    thread.join(10)
    assert told == ["done"]
    assert 0 < steps_done(out, "ppo-0") < STEPS
    assert not (out / ".seen-by-ray").exists()
    benchmark.main(arguments(out, resume=True))
    same(plain, out)


@pytest.mark.slow
def test_what_a_worker_does_not_see_or_has_otherwise_is_refused_in_one_line(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Quiet:
        def at(self, title: str) -> None: ...

        def add(self, cost: float, note: str | None = None) -> None: ...

    def run(work: Callable[..., None]) -> None:
        with ray_pool.RayPool(cluster.address, tmp_path, 1) as pool:
            (tmp_path / "work").touch()
            pool.run([jobs.Job(agent="ppo")], work, None, Quiet(), lambda job: 1.0)

    def unseen(job: Any, context: Any, reporter: Any) -> None:
        raise ValueError("two\nlines of it")

    with pytest.raises(RunError, match=r"^ppo-0 failed \(ValueError: lines of it\); run it"):
        run(unseen)
    other = ray_pool.software() | {"numpy": "0.1"}
    monkeypatch.setattr(ray_pool, "software", lambda: other)
    with pytest.raises(RunError, match=r"has numpy \S+, the driver 0\.1; install the same"):
        run(unseen)
    monkeypatch.undo()
    monkeypatch.setattr(ray_pool, "write_text", lambda path, text: None)
    with pytest.raises(RunError, match=r"does not see the run folder .* storage that all nodes"):
        run(unseen)


def test_without_ray_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(AgentError, match=r"--ray auto needs Ray .*pip install 'fundenv\[rllib\]'"):
        benchmark.main(arguments(tmp_path / "run", ray="auto", agents=("ppo",)))


@pytest.mark.slow
def test_where_no_cluster_answers_one_line_says_so(tmp_path: Path) -> None:
    ray = pytest.importorskip("ray", reason=WITHOUT)
    ray.shutdown()  # of the tests before, whose cluster goes on
    with pytest.raises(AgentError, match=r"no Ray cluster at '127\.0\.0\.1:1' .*refused"):
        benchmark.main(arguments(tmp_path / "run", ray="127.0.0.1:1", agents=("ppo",)))
