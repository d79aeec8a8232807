"""The journal is the account: run through the backtest it gives the same one to the last bit."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import agents
from experiments.live.check import check
from experiments.live.mock_world import world_of
from fundenv.batch.cpu import Batch
from fundenv.live import LiveError, RecordedFeed
from fundenv.live.market import padded
from fundenv.market import build_market, joint
from tests.live.parity import assert_equal
from tests.live.world import HOUR, START, coins, paper, plan, recorded, walk

DAY = 24 * HOUR
SAVED = Path(__file__).parents[1] / "agents" / "saved_before_the_move.zip"
BOTH = ("BTCUSDT", "ETHUSDT")
OFF = {"clairvoyant", "portfolio_clairvoyant", "venue_clairvoyant", "forecast"}
RULES = [name for name in agents.names() if not agents.agent_class(name).learns and name not in OFF]


def fits(name: str, shared: bool) -> bool:
    """Whether a rule takes such accounts: some are for one coin, some for several alone."""
    settings = plan(BOTH, agents.make(name)).settings
    market = build_market(list(coins(BOTH).values()))
    market = joint(market, BOTH) if shared else market
    try:
        agents.make(name).bind(Batch(market.n_paths, market=market, **dict(settings)))
    except agents.AgentError:
        return False
    return True


@pytest.mark.parametrize("shared", [False, True], ids=["apart", "joint"])
@pytest.mark.parametrize("name", RULES)
def test_every_rule_has_the_account_of_its_backtest(
    tmp_path: Path, name: str, shared: bool
) -> None:
    if not fits(name, shared):
        pytest.skip("the rule is for other accounts")
    world = world_of({}, START)
    own = paper(tmp_path, recorded(coins(BOTH), world), agent=name, shared=shared)
    walk(own, world, START + 4 * DAY, hours=100)
    assert_equal(own, agents.make(name), shared)
    own.close()


def test_a_rule_knows_the_collateral_of_each_coin(tmp_path: Path) -> None:
    """One account a coin: 95 % of BTC counts on Binance, 60 % of XRP."""
    names, world = ("BTCUSDT", "XRPUSDT"), world_of({}, START)
    env = {"margin_mode": "portfolio"}
    own = paper(tmp_path, recorded(coins(names), world), names, agent="margin_carry", env=env)
    walk(own, world, START + 4 * DAY, hours=100)
    assert own.agent.capital.collateral[:, 0].tolist() == [0.95, 0.6]
    assert_equal(own, agents.make("margin_carry"))
    own.close()


@pytest.mark.parametrize("name", ["ppo", "ppo_with_a_rule", "sac_under_way"])
def test_a_trained_agent_has_the_account_of_its_backtest(tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(SAVED) as packed:
        packed.extractall(tmp_path)
    world = world_of({}, START)
    feed = recorded(coins(BOTH), world)
    own = paper(tmp_path / "paper", feed, agent=agents.load(tmp_path / name))
    walk(own, world, START + 4 * DAY, hours=50)
    assert any(record["wanted"] for record in own.account.decisions)
    assert_equal(own, agents.load(tmp_path / name))


def test_a_process_that_starts_again_after_every_look_has_the_same_account(tmp_path: Path) -> None:
    found = []
    for restarted in (False, True):
        world = world_of({"binance": coins(BOTH)}, START)
        folder = tmp_path / str(restarted)
        own = paper(folder, recorded(coins(BOTH), world), agent="har")
        while world.now_ms < START + 3 * DAY:
            own.look()
            world.now_ms += 19 * HOUR
            if restarted:
                own.close()
                (folder / "state.json").unlink()  # a cache, nothing else
                own = paper(folder, recorded(coins(BOTH), world), agent="har")
        own.look()
        state = json.loads((folder / "state.json").read_text())
        found.append({k: state[k] for k in ("closed", "fingerprint", "accounts", "decisions")})
        assert "equal the backtest to the last bit" in check(own, agents.make("har"))
        own.close()
    assert found[0] == found[1]


def test_the_check_finds_one_changed_bit(tmp_path: Path) -> None:
    world = world_of({"binance": coins(BOTH)}, START)
    own = paper(tmp_path, recorded(coins(BOTH), world), agent="carry")
    walk(own, world, START + 2 * DAY, hours=49)
    equity = own.account.steps[2].equity
    equity[0] = np.nextafter(equity[0], np.inf)
    with pytest.raises(ValueError, match="BTCUSDT: equity of step 2 differ"):
        check(own, agents.make("carry"))


def test_what_lies_ahead_of_the_last_close_is_never_read(tmp_path: Path) -> None:
    """The rows behind the last bar, with wrong prices, change no observation and no account."""
    own = paper(tmp_path, (feed := recorded(coins(BOTH), w := world_of({}, START))), agent="carry")
    walk(own, w, START + 3 * DAY, hours=73)
    assert isinstance(feed, RecordedFeed)
    assert own.tables.closed is not None
    _, market = own.market()
    seen = []
    for wrong in (1.0, 1.7):
        live = padded(market, 8, own.tables.closed)
        bars = live.bars.copy()
        for _, last in live.paths:
            bars[last - 8 : last, :, :8] *= wrong
        batch = Batch(2, market=replace(live, bars=bars), **dict(own.plan.settings))
        batch.reset(0)
        for record in own.account.decisions[: len(own.account.steps)]:
            batch.step(np.array(record["sent"]))
        seen.append((batch.obs.copy(), batch.store.account.copy(), batch.store.legs.copy()))
        assert int(batch.market.close_ns[batch.where[1][0]]) // 1_000_000 <= own.tables.closed
    for one, other in zip(*seen, strict=True):
        assert np.array_equal(one, other)


def test_an_agent_that_reads_the_future_is_refused(tmp_path: Path) -> None:
    world = world_of({}, START)
    own = paper(tmp_path, recorded(coins(BOTH), world), agent="clairvoyant")
    with pytest.raises(LiveError, match="clairvoyant reads the future"):
        walk(own, world, START + DAY, hours=25)


def test_another_agent_or_other_settings_are_refused_in_the_same_folder(tmp_path: Path) -> None:
    world = world_of({}, START)
    feed = recorded(coins(BOTH), world)
    own = paper(tmp_path, feed, agent="carry")
    walk(own, world, START + DAY, hours=25)
    own.close()
    with pytest.raises(LiveError, match="holds an account with agent carry, now ewma"):
        paper(tmp_path, feed, agent="ewma")


def test_an_agent_that_changed_its_mind_is_refused(tmp_path: Path) -> None:
    world = world_of({}, START)
    feed = recorded(coins(BOTH), world)
    own = paper(tmp_path, feed, agent="carry")
    walk(own, world, START + DAY, hours=25)
    own.close()
    changed = agents.make("flat")
    changed.name = "carry"  # type: ignore[misc]
    own = paper(tmp_path, feed, agent=changed)
    assert own.plan == plan(BOTH, changed)
    with pytest.raises(LiveError, match="now decides otherwise at 2024-03-01 08:00"):
        own.look()
