"""The picture of an episode: it is drawn at every stage of an episode, shows what it is given, and
says what it needs.
"""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

import gymnasium
import numpy as np
import pytest

from fundenv.dynamics import types as t

pytest.importorskip("matplotlib")

from fundenv.envs.panels import PER_ASSET
from fundenv.envs.render import EpisodePicture

SYMBOLS = ("BTCUSDT", "ETHUSDT", "ADAUSDT")


def episode(n: int, assets: int = 1, hours: int = 8) -> dict[str, Any]:
    """A carry that earns 1 bp a step of its notional: prices drift up, the margin shrinks; nothing
    is liquidated.
    """
    steps = np.arange(n)[:, None] * np.ones(assets)
    start = np.datetime64("2024-02-10T08:00", "ns")
    history: dict[str, Any] = {name: np.zeros((n, assets)) for name in PER_ASSET}
    history["time"] = start + (1 + np.arange(n)) * np.timedelta64(hours, "h").astype(
        "timedelta64[ns]"
    )
    history["spot_price"] = 50_000 * np.exp(0.001 * steps)
    history["perp_price"] = history["mark_price"] = history["spot_price"] * (
        1 + 3e-4 * np.sin(steps)
    )
    history["funding_rate"] += 1.0
    history["carry"] += 1.0
    history["hedge"] += 1.0
    history["leverage"] += 3.0
    history["perp"] -= 1.5 / assets
    history["margin_distance"] = np.maximum(0.33 - 0.001 * steps, 0.01)
    history["parts"] = np.zeros((n, t.N_PARTS))
    history["parts"][:, t.FUNDING] = 7.5
    history["equity"] = 100_000 + history["parts"].sum(axis=1).cumsum()
    return history


def reddish(image: np.ndarray) -> int:
    """Pixels of a strong red or vermilion."""
    red, green, blue = (image[..., channel].astype(int) for channel in range(3))
    return int(((red > green + 70) & (red > blue + 100)).sum())


def bluish(image: np.ndarray) -> int:
    """Pixels of a strong blue."""
    red, _, blue = (image[..., channel].astype(int) for channel in range(3))
    return int((blue > red + 120).sum())


@pytest.mark.parametrize("assets", [1, 2, 3])
@pytest.mark.parametrize("n", [0, 1, 2, 60])
def test_every_stage_of_an_episode_is_drawn(n: int, assets: int) -> None:
    image = EpisodePicture(SYMBOLS[:assets]).draw(episode(n, assets))
    assert image.shape == (720, 960, 3)
    assert image.dtype == np.uint8
    assert 0.005 < (image < 128).any(axis=-1).mean() < 0.5  # some ink, mostly paper


def test_size_is_in_pixels() -> None:
    assert EpisodePicture(("BTCUSDT",), size=(640, 480)).draw(episode(5)).shape == (480, 640, 3)


def test_frames_do_not_depend_on_what_was_drawn_before() -> None:
    used = EpisodePicture(("BTCUSDT",))
    for n in (90, 0, 30):
        used.draw(episode(n))
    assert (used.draw(episode(60)) == EpisodePicture(("BTCUSDT",)).draw(episode(60))).all()


def test_a_frame_is_the_callers_own() -> None:
    picture = EpisodePicture(("BTCUSDT",))
    first = picture.draw(episode(10))
    kept = first.copy()
    picture.draw(episode(50))
    assert (first == kept).all()


def test_liquidation_is_marked() -> None:
    picture, history = EpisodePicture(("BTCUSDT",)), episode(60)
    without = reddish(picture.draw(history))
    history["liquidated"][30, 0] = 1
    assert reddish(picture.draw(history)) > without + 200  # a dashed line over every panel


def test_funding_paid_looks_unlike_funding_received() -> None:
    picture, history = EpisodePicture(("BTCUSDT",)), episode(60)
    received = picture.draw(history)
    history["perp"] = -history["perp"]  # a long pays a positive rate
    paid = picture.draw(history)
    assert reddish(received) < 3_000 < reddish(paid)  # the bars of 59 of 60 settlements
    assert bluish(paid) < bluish(received)


def test_header_and_legends_tell_the_latest_values() -> None:
    picture, history = EpisodePicture(("BTCUSDT",)), episode(60)
    history["equity"][-1] -= 1_000.0  # 60 x 7.5 were earned: 100,450 - 1,000
    history["parts"][-1, t.FEES] = -1_000.0
    picture.draw(history)
    assert picture.title.get_text() == "BTCUSDT"
    summary = picture.summary.get_text()
    for expected in (
        "2024-03-01 08:00 UTC",
        "equity 99,450",
        "return -0.55%",
        "drawdown 0.99%",
        "liquidations 0",
    ):
        assert expected in summary
    legend = [text.get_text() for text in picture.strips[-1].texts]
    assert legend[:2] == ["total -0.55", "funding +0.45"]
    assert "costs -1.00" in legend


def test_flat_position_leaves_gaps() -> None:
    history = episode(60)
    for name in ("carry", "perp", "leverage"):
        history[name][:] = 0.0
    history["margin_distance"][::2] = np.nan
    history["margin_distance"][1::2] = np.inf
    picture = EpisodePicture(("BTCUSDT",))
    picture.draw(history)
    assert [text.get_text() for text in picture.strips[3].texts] == [
        "move of mark that liquidates –"
    ]


def test_a_frame_is_quick() -> None:
    picture, history = EpisodePicture(("BTCUSDT",)), episode(270)
    seconds = []
    for _ in range(4):
        started = time.thread_time()
        picture.draw(history)
        seconds.append(time.thread_time() - started)
    assert min(seconds) < 0.6  # 0.11 s of processor time; the bound leaves room for a slower core


def test_missing_matplotlib_is_one_line_that_names_the_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(
        gymnasium.error.DependencyNotInstalled, match=r"fundenv\[render\]"
    ) as caught:
        EpisodePicture(("BTCUSDT",))
    assert "\n" not in str(caught.value)


def test_pyplot_stays_out() -> None:
    code = (
        "import sys; from fundenv.envs.render import EpisodePicture; early = 'matplotlib' in"
        " sys.modules;EpisodePicture(('BTCUSDT',)); print(early, 'matplotlib.pyplot' in"
        " sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_the_latest_reasons_are_written_into_the_picture() -> None:
    history = episode(30)
    reasons = np.array([["waits"]] * 10 + [["enters"]] + [["keeps"]] * 19)
    picture = EpisodePicture(SYMBOLS[:1])
    without, written = picture.draw(history), picture.draw(history | {"reason": reasons})
    assert (without != written).any()
    text = picture.columns[0].reasons.get_text().splitlines()
    # each with the end of its first step
    assert text == ["02-10 16:00  waits", "02-14 00:00  enters", "02-14 08:00  keeps"]


def test_the_environment_hands_the_words_of_a_rule_to_its_picture() -> None:
    import agents
    import fundenv  # noqa: F401

    agent = agents.make("ewma", enter=-50.0, exit=-60.0)
    env = gymnasium.make("fundenv/FundingHedge-v0", render_mode="rgb_array", **agent.env_settings())
    agent.bind(env)
    obs, _ = env.reset(seed=1)
    said = []
    for _ in range(12):
        action = agent.act(obs[None])[0]
        said.append(agent.words()[0])
        env.unwrapped.explain(agent.words())  # type: ignore[attr-defined]
        obs, *_ = env.step(action)
    env.render()
    shown = env.unwrapped.recorder.picture.columns[0].reasons.get_text()  # type: ignore[attr-defined]
    assert shown.splitlines()[-1].endswith(said[-1])
    assert said[:2] == ["enters", "keeps what it has"]
    with pytest.raises(ValueError, match="expected 1, one per asset"):
        env.unwrapped.explain(["a", "b"])  # type: ignore[attr-defined]


def test_the_layout_does_not_follow_the_users_settings_of_matplotlib() -> None:
    import matplotlib

    plain = EpisodePicture(("BTC",)).draw(episode(20))
    with matplotlib.rc_context({"figure.constrained_layout.use": True}):
        picture = EpisodePicture(("BTC",)).draw(episode(20))
    np.testing.assert_array_equal(picture, plain)
