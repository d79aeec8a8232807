"""The Gymnasium environment; its docstring is the specification of the whole simulation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym

from fundenv.batch.audit import LazyInfo, audit
from fundenv.batch.cpu import Batch, refuse_nan
from fundenv.config import ConfigError
from fundenv.dynamics import types as t
from fundenv.dynamics.observation import ACCOUNT_COLUMNS, LEG_COLUMNS
from fundenv.envs.spaces import action_space, observation_space
from fundenv.market import FEATURES, Market


class FundingHedgeEnv(gym.Env[Any, Any]):
    """One account of spot and perpetual-swap legs that an agent hedges and levers; this docstring
    is the specification.

    ## Description

    One account holds a spot leg and a perpetual-swap leg per asset. The agent sets how much carry
    to hold, the hedge ratio and the leverage; the exchange charges funding, fees, spread, impact
    and interest, and liquidates. Money is in quote units from the agent's side (+ received), sizes
    are signed base units (+ long), rates are fractions. Positive funding: longs pay shorts.

    ## Account

    - `cash`: spot wallet; negative = borrowed quote.
    - per asset `spot` (negative = borrowed base), `perp`, `entry` (average entry price, 0 when
      flat), `margin` (perp wallet without unrealised profit). `isolated`: one wallet per leg.
      `cross`: all legs share one wallet; it stands at asset 0, the other entries are
      0. `portfolio`: no wallet (margin is 0), everything goes through cash, and cash, spot and perp
         profit back all legs together.
    - `portfolio`: wherever 1 + L stands below, read 1 + (1 - haircut) x L: borrowed quote may pay
      for the spot leg. Adjusted equity = cash + sum(u + min(v, v x haircut)), v = spot x spot
      price, haircut the venue's `collateral` rate.
    - u = perp (mark - entry) is unrealised profit. Equity = cash + sum(spot x spot price + margin +
      u).
    - free cash = cash - sum(max(-spot, 0) x spot price): the proceeds of borrowed base are locked.
    - With N the quote notional |perp| x mark and L the target leverage, required margin is N / L.
    - All of this is for linear contracts. A venue whose `contract` is inverse: see "Inverse
      contracts" below.

    ## One step

    An observation is taken at the close of a bar. The step covers the `decision_interval` (D bars)
    that follows it. Each bar t+1 opens at the instant bar t closes; "last" means the close of bar
    t. In each bar, in this order:

    1. **Settlement**, if one falls on the open. Each perp position held before any trade receives
       -perp x settlement price x rate; rate = `funding_scale` x settled rate + `funding_shift` x
       years since the settlement before (8 h if the path has none in them). The settlement price is
       the mark, or the last spot close where the venue pays on its oracle or index price. Isolated:
       a receipt goes to cash; a payment is taken from free cash (valued at last spot closes, never
       below 0) first, the rest from that leg's margin. Cross: both go to the shared wallet;
       portfolio: to cash. Assets in order.
    2. **Margin test at the open**, on what was held before any order, because a gap comes first: as
       in 5, with the mark open in place of the extreme; perp_pnl then runs from the last mark close
       to it, and an after-liquidation order that follows is due in this very bar.
    3. **Orders** at the open, quantities fixed from what was known at the last close (equity E
       after the settlement and before the margin test, not below 0; mark and spot close). a.
       *Decision*, in the first bar of the step, for each asset whose action is not `hold`: target
       perp = -carry x E x L / (1 + L)
          / A / last mark, target spot = -hedge x target perp (base units: hedge 1 is
          delta-neutral). The targets (carry, hedge, L) are remembered; a pending after-liquidation
          order is dropped unless the asset is halted. If base may not be borrowed, a target with
          spot < 0 becomes flat (perp and spot 0). If both |order| values (perp at last mark, spot
          at last spot close) are <= `rebalance_band` x E and the target carry is not 0, nothing is
          traded (transfers still happen).
       b. *After liquidation*, for an asset with a pending order and no decision in this bar:
       `flatten` brings the spot leg to -hedge
          x perp, to 0 where the perp is gone; `rehedge` trades to the remembered target like a
          decision without band. Half-spread and impact are multiplied by `stress_multiplier`. A
          decision in the very bar in which an order is pending trades at stressed cost too. A
          pending order stays pending while the asset is halted; `flatten` until the spot leg is
          gone (one attempt where a perp is left); `rehedge` is one attempt.
       c. *Keeper*, every `keeper_interval` (bars counted by their open time since 1970), if neither
       a nor b applies: isolated, per
          leg with perp != 0; cross, for all legs together and only if no leg had a decision or
          pending order. At last prices B = sum(margin + u), M = sum(N / L), V = sum(max(spot, 0) x
          spot close) over the legs concerned. It acts if B < M / keeper_up or B > M / keeper_down
          (effective leverage above keeper_up x L or below keeper_down x L). If B < M: cash up to
          free cash moves into the wallet until B = M. If then |B - M| > 1e-9 M, both orders of each
          leg are (f - 1) x position with f = (V + max(B, 0)) / (V + M).
       d. *Fill limits*, in this order; T = (spot, perp) is what the orders of an asset lead to.
       Halted bar: no fill. Leverage limit of the
          bracket: an order that makes the position larger than the brackets allow at L (value at
          last mark: the floor of the first bracket whose maximum leverage is below L) leads to m T,
          with m so that |perp| is that limit, or the position held already where that is larger and
          on the same side (an order to within 1e-9 of what is held is none, here and below).
          Participation: both orders of an asset shrink by the same factor so that neither exceeds
          `max_participation` x the bar's volume of its leg; reductions too, for an account that
          trades both legs in step never closes one faster than its hedge. Lots: each order is cut
          towards zero to a multiple of the lot (a relative 1e-12 below one counts as it), unless it
          closes the leg exactly. Minimum notional (perp at last mark, spot at last spot close): a
          smaller order is dropped, unless it closes the leg exactly. Funds: let f be the free cash
          at open prices after fills and transfers (see e); a shortage up to 1e-12 of the larger of
          the initial equity and the equity at the last close is rounding and none. If f with all
          orders >= 0, all are filled. Else targets become smaller and keep their hedge ratio. An
          asset whose orders lead to T = (spot, perp) has least orders, which lead to l T with the
          largest l in [0, 1] for which l T lies, leg by leg, between 0 and what is held (l > 1 -
          1e-9: they are its orders; a part of T below 1e-9 of what is held is 0), each cut to
          `max_participation` of its volume. It uses cash if all its orders, where the other assets
          fill their least ones, leave a lower f than least orders all round. With f(k) the f where
          the assets that use cash fill least + k (all - least) and the others all orders: k = f(0)
          / (f(0) - f(1)), but 0 where that is below 1e-9 or f(0) <= 0. The orders at k pass lots
          and minimum notional again; one that closes a leg, and after that would leave a part of
          it, closes it exactly. Where f < 0 even then (lots may have taken from a reduction what
          was to pay for the other leg), the same is done with these orders in place of all, f(1)
          counted 2, 4, .. 128 times the 2nd, 3rd, .. 8th time, and k = 0 a ninth, as long as f(1) <
          f(0). If f stays below 0, every order keeps only what it closes. So nothing is opened, and
          no spot bought but to pay back borrowed base, while f < 0; what an order closes is never
          given up for want of funds; and spot that a liquidation has left, or any other excess of a
          leg, is sold until the hedge ratio is the one asked for, but for lots, minimum notional
          and volume; at whatever price, where no `max_participation` bounds the impact.
       e. *Fills*: buy at open x (1 + h + i), sell at open x (1 - h - i), open = perp open or spot
       open, h = half-spread x
          `cost_scale` x stress, at most 1, i = impact coefficient x sigma_day x sqrt(|order| / day
          volume) x `cost_scale` x stress (0 where the day volume is 0), at most 1 - h; stress =
          `stress_multiplier` for the orders of b, else 1. Fee = fee rate x `fee_scale` x |fill| x
          price. Spot pays from cash. The perp fee is taken from the wallet; closing part of a
          position moves the realised profit to the wallet; adding to it averages the entry;
          crossing zero closes, then opens at the fill. With orders filled, f = cash - spot cost +
          sum over wallets[B_open - perp cost - max(u_left + floor, required margin at perp open)] -
          sum(max(-spot after, 0) x spot open), the sum over wallets for those that get a transfer
          in this bar; B_open = margin + u_open, u_open at perp open before the trade; u_left =
          u_open x the share of the old position left open; floor = min(max(B_open - perp cost -
          u_left, 0), maintenance of the position after the trade at perp open); required margin =
          |perp after| x perp open / L; perp cost = fee + spread + impact; spot cost = order x open
          + fee + spread + impact. Portfolio: no keeper; f = adjusted equity after the fills at open
          prices - sum of required margin at perp open, over all assets, and every asset counts as
          one that uses cash.
       f. *Loans*: where assets / debts of the spot account (cash and spot at last closes, + against
       -) are <= `margin_level` (0: never;
          Binance liquidates at 1.1), the orders of every asset with spot < 0 become -spot and
          -perp, at stressed cost; its remembered carry becomes 0. A debt up to 1e-9 of the initial
          equity is rounding and no loan. Before the fill limits of d.
       g. *Crash*: where mark ranged in the last bar over more than `crash_sigma` (0: never) daily
       volatilities (high / low - 1 over
          sigma_day of that bar), every order of the asset trades at stressed cost.
    4. **Transfers** (not in portfolio mode) for the legs of a and b, and for those to which c gave
       orders (cross: the shared wallet if any leg is such a leg): the wallet is set to max(required
       margin at perp open - u at perp open, min(max(margin, 0), maintenance at perp open)): profit
       counts as margin, but the maintenance margin is not withdrawn (Binance FAQ 360038447311).
       Wallets that give cash back, and wallets without any position (emptied into cash, also
       negative ones), come first, in order of the assets; then the others take at most free cash
       (at spot open).
    5. **Liquidation** inside the bar. Isolated, each leg: if margin + perp (x - entry) <= maintenance at the adverse extreme x of
       mark (high for a short, low for a long), the leg is liquidated at p = mark open if the condition holds there already, else at
       the liquidation price. Cross: the sum over legs at their adverse extremes at once; p lies on the straight line from the mark
       opens to the extremes where balance = maintenance. Portfolio: as cross, balance = adjusted equity, against 1.05 x maintenance,
       the spot price of an asset with a position moving in proportion to its mark (spot open x mark / mark open). maintenance(n) = n
       x rate - amount of the bracket that holds n, n = |perp| x mark, or |perp| x entry where the venue says so (`maintenance_on`).
       Of a leg worth v = |perp| x p the venue's `procedure` closes: `whole` all; `tier` what takes it just below (relative 1e-9) the
       floor of its bracket, `two_tiers` of the bracket below that; `fifth` 20 % the first time in a bar, then all. All of it where v
       <= `partial_above`, where no such bracket exists, or where the balance <= v x rate of the first bracket (cross: balance less
       the maintenance of the other legs). Cross: every leg that can be reduced is, asset after asset; if none can, all are closed.
       The test is then repeated from p on with what is left. The fill is worse than p by (h + i) x `cost_scale` x
       `stress_multiplier`, the fee is `liquidation_fee` x `fee_scale` x what is closed x fill. The rules are those in force on the
       day on which the episode begins, or on `venue_date`. When the last position of a wallet is closed, a loss beyond the wallet is
       borne by the venue and the rest returns to cash (portfolio: the account bears it).
       Then, where `adl_sigma` > 0, *auto-deleveraging*: a leg whose mark reaches q = mark open x (1 +- `adl_sigma` x sigma_day), + for a
       long, and that has a profit there, loses the share `adl_share` at q, without fee or slippage; it counts as `liquidated`, and
       `after_liquidation` says what becomes of its spot leg.
    6. **Interest** for the bar: free cash (spot close) > 0 earns `cash_rate`; cash < 0 pays
       `quote_borrow_rate`; borrowed base pays `base_borrow_rate` on its value at spot close; all
       through cash.
    7. **Mark to close**. The margin test at the close is implied by the test at the extreme (low <=
       close <= high, and interest touches cash alone). If equity <= `ruin_fraction` x initial
       equity the step ends here: terminated (and not truncated).

    After the D bars the step ends. It is truncated when the episode has its length, or when fewer
    than D bars are left. After a liquidation the spot leg is governed by `after_liquidation`:
    `flatten` (at the next open), `rehedge` (at the next open), or `naked` (kept until the next
    decision).

    ## Inverse contracts

    On a venue whose `contract` is inverse (coin-margined) the account still counts in quote, but a
    perpetual is margined, settled and charged in the coin of its asset. What differs from the
    above, by the same numbers:

    - `perp` is signed quote value (contracts x face); `margin` is coin; u = perp (1 / entry - 1 /
      mark) is coin. C = spot + margin + u are all coins of the asset. Equity = cash + sum(C x spot
      price). N = |perp| / mark is coin and so is required margin N / L; brackets and maintenance
      are in coin. Every asset has a wallet of its own in coin, in `cross` mode too: there it holds
      all coins that are owned, in `isolated` mode the required margin, in `portfolio` mode there is
      none. The coins bought as the hedge are the margin, so a short at L = 1 with hedge 1 keeps its
      value in quote at every price (a synthetic dollar) and no rally liquidates it.
    - 1: received: -perp / settlement price x rate, in coin. Isolated: to spot; a payment is taken
      from max(spot, 0) first. Cross: margin; portfolio: spot. `funding` is this x the last spot
      close.
    - 3a, 3b: for L / (1 + L) read 1: target perp = -carry x E / A (portfolio: as above). The target of spot is such that C = -hedge x
      target perp / last mark, and at least the required margin where base may not be borrowed: margin is borrowed too where the hedge does
      not supply it. Orders are worth |order| (perp) and |order| x spot close.
    - 3c: isolated and cross alike, leg by leg, not in portfolio mode; B and M in coin. If B < M /
      keeper_up: coins that may move (below) enter the wallet until B = M; if then B < (1 - 1e-9) M,
      orders are (f - 1) perp and (f - 1) min(C, 0), f = max(B, 0) / M: coins that are owned are not
      sold. If B > M / keeper_down (isolated): only the transfer of 4. Nothing if |B - M| <= 1e-9 M.
    - 3d: participation compares |perp order| / perp open; the minimum notional of the perpetual |order|; of spot, C at the last mark is
      held; f = cash - sum(spot order x spot open + spot costs) + sum(min(spot + spot order + R, 0) x spot open), R = 0 where no transfer
      follows, else what the wallet can give back: margin + u at perp open - perp cost - max(u_left + floor, required margin). Where base
      may not be borrowed a spot order sells at most max(spot + max(R, 0), 0) (to 1e-9), in f and at the fill, whatever the lot: coins that were
      profit at the last close may be gone at the open (not in portfolio mode, where the collateral decides; there f adds the adjusted
      value of C - perp cost less required margin x spot open for each asset).
    - 3e: perpetuals first; h + i is at most 1/2; size in base for the impact: |order| / perp open.
      Spread, impact and fee are each rate x |order| / fill price coin, booked at spot open. Adding
      averages 1 / entry. An order that closes a perpetual whole beside a spot order sells exactly
      the coins that are left.
    - 4: the wallet is set to max(required margin - u, floor as in 4), cross: at least to spot +
      margin, without position to 0; assets in order. It takes at most max(spot, 0) + (where base
      may be borrowed) max(free cash, 0) / spot open coins: what may move.
    - 2, 5: cross legs stand alone, with their wallets. Portfolio: adjusted equity counts C,
      maintenance x spot price. Coins are valued at the last spot close in 2, at spot open in 5; the
      rest of a wallet returns to spot.
    - Parts: spot_pnl = C (u at the first price) x change of the spot price; perp_pnl = change of u
      x the new spot price. `expected` reads spot + margin + perp / entry for spot + perp, and perp
      for perp x last spot close.

    ## Parts

    Every step books: spot_pnl = spot held x price change (last close -> open before the trade, open
    -> close after it); perp_pnl likewise with mark closes and perp open (a liquidated leg up to p);
    funding; fees (liquidation fee excluded); spread; impact; borrow_interest; cash_interest;
    liquidation_loss (slippage and fee of the liquidation, plus what the venue bore). They add up to
    the change of equity.

    ## Action space

    Per asset, in this order; frozen dials (`dials`) are left out and stand at `carry`, `hedge`,
    `leverage`.

    | mode | entries per asset |
    |---|---|
    | `continuous` | Box [-1, 1]: carry = x; hedge: -1 -> 0, 0 -> 1, +1 -> 1.5, linear between; leverage = max_leverage^((1 + x)/2) |
    | `discrete` | MultiDiscrete: gate {0 hold, 1.. carry_grid} ({hold, trade} where carry is frozen), index into hedge_grid, index into leverage_grid |
    | `target` | Box: hold flag (> 0.5 holds), carry [-1, 1], hedge ratio [0, 1.5], leverage [1, max_leverage]: what rules speak |

    carry > 0: short perp, long spot (earns positive funding). carry < 0: long perp, short borrowed
    spot. `hold` orders nothing; the keeper still works.

    ## Observation space

    `Box((D,), float32)`, D = A (F + 14) + 4. Every entry is clip(raw / scale, low, high).
    `env.observation_table` lists name, meaning, unit, low, high and scale of each. Per asset first
    the F market features (settled funding and its averages, estimate of the pending rate, basis,
    volatility, returns, volume, phase, and any extra column of the data), then:

    {observations}

    A settlement on the very instant of the observation is not in it; only its running estimate is.

    `funding_scale` and `funding_shift` move the observations that are linear in the settled rates
    along; `funding_z` stays the same by its nature, `funding_persistence` is that of the recorded
    rates.

    ## Reward

    In thousandths of log growth over a step of T years, E before, E' after, E_0 at the start, floor
    F = 0.01 E_0: `log_growth` is 1000 (ln(max(E', F) / max(E, F)) - cash_rate T); `mean_variance`
    subtracts 1000 gamma/2 ((spot_pnl + perp_pnl) / E)^2; `expected` is 1000 (ln(max(1 + y, 0.01)) -
    cash_rate T), y the sum of the parts over E in which the move of the basis is replaced by its
    conditional mean: the price profit becomes, per bar, (spot + perp) x change of the spot price
    (before and after the trade, as in spot_pnl) + perp after the trade x last spot close x (-(1 -
    0.5^(bar / basis_half_life))) x last basis deviation. A step with a liquidation or ruin counts
    as realised (`log_growth`).

    ## Starting state

    All equity in cash, at a random row of a random path (`random_start`), else at the first row of
    path `number of episodes so far` mod P. `start_invested`: with this probability a random episode
    starts with full carry at the frozen hedge and leverage, entered without cost. `reset(seed=s)`
    restarts the stream; environment i of a vector environment seeded s draws what a single
    environment seeded s + i draws. `reset(options={"path": p, "start": k})` starts at the close of
    row k of path p.

    `randomize={"cash_rate": (-0.02, 0.07), "fee_scale": ("log", 0.5, 2.0)}` draws numbers of
    `fundenv.dynamics.types.Params` anew at the start of each episode, uniform or uniform in the
    logarithm, by (seed, number of the episode, field) alone: no other range, no batch size and no
    thread changes a draw. `env.unwrapped.batch.randomize(ranges)` moves the ranges for the episodes
    to come (a curriculum, `fundenv.envs.curriculum`), `.refresh(market)` lets them begin on another
    market.

    ## Episode end

    terminated: equity <= ruin_fraction x initial equity. truncated: the episode has its length, or
    the data end.

    ## Info

    {info} After `reset` the same keys describe the start. The last step of an episode also has
    `episode_stats` {"r": return, "l": decisions, "equity": final equity} (`episode` is the key of
    Gymnasium's `RecordEpisodeStatistics`).

    ## Arguments

    market: a `fundenv.market.Market`, a folder of tidy files, or None for the embedded synthetic
    market. symbols: which of them. render_mode: "rgb_array" draws the episode. Everything else is a
    field of `fundenv.config.EnvConfig`.

    ## Version history

    v0: first version.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}

    def __init__(
        self,
        *,
        market: Market | str | Path | None = None,
        symbols: Sequence[str] | None = None,
        render_mode: str | None = None,
        **settings: Any,
    ) -> None:
        """See the class docstring; raises `ConfigError` with one line that names the setting."""
        if render_mode not in (None, "rgb_array"):
            raise ConfigError(f"render_mode = {render_mode!r} is not one of None, 'rgb_array'")
        self.batch = Batch(1, market=market, symbols=symbols, **settings)
        out, episode = self.batch.out, self.batch.store.episode
        self._action = self.batch.actions[0]
        # an entry of a memory view is read in a third of the time that one of an array takes
        read: tuple[Any, ...] = (out.reward, out.terminated, out.truncated, episode[0])
        views: tuple[Any, ...] = tuple(memoryview(array) for array in read)
        self._reward, self._terminated, self._truncated, self._episode = views
        self.render_mode = render_mode
        self.observation_space = observation_space(self.batch)
        self.action_space = action_space(self.batch)
        self._recorder = _recorder(self.batch) if render_mode else None

    @property
    def observation_table(self) -> tuple[Any, ...]:
        """The D observations: name, meaning, unit, low, high, scale."""
        return self.batch.observation_table

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[t.Float32, dict[str, Any]]:
        """Begin an episode; options {"path": p, "start": row within the path} choose where. Returns
        (observation (D,), info).
        """
        super().reset(seed=seed)
        where = options or {}
        unknown = set(where) - {"path", "start"}
        if unknown:
            raise ConfigError(
                f"reset option {sorted(unknown)[0]!r} is unknown; the options are path and start"
            )
        obs = self.batch.reset(seed, where.get("path"), where.get("start"))
        if self._recorder is not None:
            self._recorder.begin()
        return obs[0].copy(), self._info()

    def step(self, action: Any) -> tuple[t.Float32, float, bool, bool, dict[str, Any]]:
        """Step one decision. Returns (observation (D,), reward, terminated, truncated, info).
        Raises `ValueError` for an action that is not a number.
        """
        batch = self.batch
        if self._episode[t.MUST_RESET]:
            raise gym.error.ResetNeeded("the episode has ended; call reset() before step()")
        self._action[:] = action
        # or infinite ones of both signs, which it lets pass
        if math.isnan(sum(self._action.tolist())):
            refuse_nan(batch.actions)
        batch.calls.step(0, 1)
        terminated, truncated = self._terminated[0], self._truncated[0]
        info = self._info()
        if terminated or truncated:
            returned, length, equity = batch.final_stats[0].tolist()
            info["episode_stats"] = {"r": returned, "l": int(length), "equity": equity}
        if self._recorder is not None:
            self._recorder.record()
        return batch.out.obs[0].copy(), self._reward[0], terminated, truncated, info

    def explain(self, reasons: Sequence[str]) -> None:
        """Say why the agent decides as it does in the step to come, a text per asset; the picture
        shows the latest. Nothing without a render mode.
        """
        if len(reasons) != self.batch.n_assets:
            raise ConfigError(
                f"reasons {list(reasons)!r}: expected {self.batch.n_assets}, one per asset"
            )
        if self._recorder is not None:
            self._recorder.reasons = tuple(reasons)

    def render(self) -> Any:
        """The episode so far as an image (H, W, 3) uint8; None without a render mode."""
        return None if self._recorder is None else self._recorder.draw()

    def close(self) -> None:
        """Release threads."""
        self.batch.close()

    def _info(self) -> dict[str, Any]:
        batch = self.batch
        return LazyInfo(batch.market, batch.block.copy(), self._episode[t.ROW])


def _recorder(batch: Batch) -> Any:
    from fundenv.envs.record import Recorder  # needs the extra `render`

    return Recorder(batch)


def _observation_rows() -> str:
    rows = [
        "    | observation | meaning | unit | low | high | scale |",
        "    |---|---|---|---|---|---|",
    ]
    for title, columns in (
        ("market", FEATURES),
        ("legs", LEG_COLUMNS),
        ("account, once", ACCOUNT_COLUMNS),
    ):
        rows += [f"    | **{title}** | | | | | |"]
        rows += [
            f"    | `{c.name}` | {c.meaning} | {c.unit} | {c.low:g} | {c.high:g} | {c.scale:g} |"
            for c in columns
        ]
    return "\n".join(rows)


if FundingHedgeEnv.__doc__:  # absent under python -OO
    FundingHedgeEnv.__doc__ = FundingHedgeEnv.__doc__.replace(
        "{observations}", _observation_rows()
    ).replace("{info}", (audit.__doc__ or "").strip())
