"""Money between wallets, and venues that fail: spec 9 and 10.13."""

from __future__ import annotations

import math

from tests.oracle.linear.legs import FAILED, FAILED_SPOT, FAILED_WHOLE, FROZEN, FROZEN_SPOT


class Transfers:
    """Methods of `ReferenceAccount`."""

    def _transfer(self, moved: set[int]) -> None:
        if self.portfolio:
            self.cash, self.margin[0] = self.cash + self.margin[0], 0.0
            return
        self._set_wallets(moved)
        self._send_all(moved)

    def _set_wallets(self, moved: set[int]) -> None:
        """Spec 9.1 to 9.3."""
        wanted: dict[int, float] = {}
        for w, members in enumerate(self.wallets):
            if moved & set(members) and not self._is_away(w) and not self._in_coins(w):
                required = sum(
                    abs(self.legs[a].perp) * self.now[a].perp_open / self.legs[a].leverage
                    for a in members
                )
                unrealised = sum(self.legs[a].unrealised(self.now[a].perp_open) for a in members)
                needed = sum(
                    self.rules[a].maintenance(abs(self.legs[a].perp) * self.now[a].perp_open)
                    for a in members
                )
                kept = min(max(self.margin[w], 0.0), needed)
                wanted[w] = max(kept, required - unrealised) - self.margin[w]
        taking = {
            w
            for w, top_up in wanted.items()
            if top_up > 0 and any(self.legs[a].perp for a in self.wallets[w])
        }
        for w, top_up in sorted(wanted.items(), key=lambda item: item[0] in taking):
            if w in taking:
                top_up = min(top_up, max(0.0, self._free([b.spot_open for b in self.now])))
            self.cash -= top_up
            self.margin[w] += top_up

    def _send_all(self, moved: set[int]) -> None:
        for w, members in enumerate(self.wallets):
            if moved & set(members) and self.away[w] and not self._frozen(w):
                self._send(w, members)

    def _in_coins(self, w: int) -> bool:
        """Whether a wallet holds coins."""
        return False

    def _send(self, w: int, members: list[int]) -> None:
        """Spec 9.5."""
        legs = [(self.legs[a], self.now[a].perp_open, self.rules[a]) for a in members]
        if all(leg.perp == 0 for leg, _, _ in legs) and self.margin[w] < 0:
            self.cash, self.margin[w] = self.cash + self.margin[w], 0.0
            return
        if self.due[w]:
            return
        parts, wanted = self._parts_of_capital(), 0.0
        for leg, price, _ in legs:
            target = abs(leg.carry) * self.before * leg.leverage / (1 + leg.leverage) / parts
            wanted += max(target, abs(leg.perp) * price) / leg.leverage
        needed = sum(rules.maintenance(abs(leg.perp) * price) for leg, price, rules in legs)
        kept = min(max(self.margin[w], 0.0), needed)
        profit = sum(leg.unrealised(price) for leg, price, _ in legs)
        d = max(wanted - profit, kept) - self.margin[w]
        if d > 0:
            d = min(d, max(0.0, self._free([b.spot_open for b in self.now])))
        small = wanted > 0 and abs(d) <= self.config.rebalance_band * self.before / parts
        cost = self.config.transfer_cost
        if abs(d) <= cost or small:
            return
        if d > 0:
            self.cash -= d
        else:
            self.margin[w] += d
        self.sent[w], self.due[w] = math.copysign(abs(d) - cost, d), self.travels
        self.parts["fees"] -= cost

    def _unused(self, a: int) -> float:
        """Spec 9.6: what the wallet of an asset has beyond the margin of its other assets."""
        w = self._wallet(a)
        left = self.margin[w]
        for b in self.wallets[w]:
            leg, price = self.legs[b], self.now[b].perp_open
            left += leg.unrealised(price)
            if b != a:
                size = leg.perp + (leg.order_perp if b < a else 0.0)
                left -= abs(size) * price / leg.leverage
        return left

    def _home_frozen(self) -> bool:
        states = [(bar.halted, rules) for bar, rules in zip(self.now, self.rules, strict=True)]
        return any(
            (state == FROZEN and rules.at_home) or (state == FROZEN_SPOT and rules.coins_at_home)
            for state, rules in states
        )

    def _frozen(self, w: int) -> bool:
        """Spec 9.10: its venue, or that of the account, lets no money go."""
        return self._home_frozen() or any(self.now[a].halted == FROZEN for a in self.wallets[w])

    def _is_away(self, w: int) -> bool:
        """Spec 9.4, 9.10: of linear contracts, which alone have such wallets."""
        return self.away[w] or self._frozen(w)

    def _stopped(self, a: int) -> bool:
        """Nothing fills, spec 7.1 and 9.10."""
        state, rules = self.now[a].halted, self.rules[a]
        there = state == FROZEN_SPOT or (state == FROZEN and rules.perp_venue == rules.spot_venue)
        return state > 0 or ((there or self._home_frozen()) and not rules.coins_at_home)

    def _fail(self) -> None:
        """Spec 10.13."""
        share, cash, lost = self.config.failure_loss, max(self.cash, 0.0), 0.0
        state = [bar.halted for bar in self.now]
        gone = [a for a in range(self.n) if state[a] in (FAILED, FAILED_WHOLE)]
        coins = [a for a in range(self.n) if state[a] in (FAILED_SPOT, FAILED_WHOLE)]
        for a in gone:
            leg = self.legs[a]
            self.margin[self._wallet(a)] += leg.unrealised(self.last[a].mark_close)
            leg.perp = leg.entry = leg.carry = 0.0
            leg.pending = ""
        for w in sorted({self._wallet(a) for a in gone}):
            wallet, arriving = self.margin[w], max(self.sent[w], 0.0)
            if wallet < 0:
                self.cash += wallet + self._forgiven(wallet)
                lost -= self._forgiven(wallet)
            else:
                self.cash += wallet * (1 - share)
                lost += wallet * share
            self.margin[w] = 0.0
            if arriving:
                self.cash += arriving * (1 - share)
                lost += arriving * share
                self.sent[w], self.due[w] = 0.0, 0
        for a in coins:
            leg = self.legs[a]
            if leg.spot > 0:
                lost += share * leg.spot * self.last[a].spot_close
                leg.spot *= 1 - share
        own = any(self.rules[a].at_home for a in gone)
        if own or any(self.rules[a].coins_at_home for a in coins):
            self.cash -= share * cash
            lost += share * cash
        self.parts["liquidation_loss"] -= lost

    def _arrive(self) -> None:
        """Spec 9.4."""
        for w in range(len(self.wallets)):
            if self.due[w]:
                self.due[w] -= 1
                if not self.due[w]:
                    self.margin[w] += max(self.sent[w], 0.0)
                    self.cash += max(-self.sent[w], 0.0)
                    self.sent[w] = 0.0
