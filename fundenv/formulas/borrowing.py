"""Interest on loans, and the margin level of a spot margin account.

Interest is positive, an amount that the borrower owes, in the unit of the amount borrowed.
"""

from __future__ import annotations

import numpy as np

from fundenv.formulas.arguments import Values, checked, quotient
from fundenv.formulas.kinds import Amount, Exact, Instant, Number, Positive, Ratio, refusal

_HOUR = 3_600_000_000_000  # ns


@checked
def clock_hours(borrowed_at: Instant, repaid_at: Instant) -> int:
    """Clock hours (UTC) that a loan touches, at least 1: 13:20 to 14:15 is 2. A loan repaid on the
    hour does not touch the next.

    borrowed_at, repaid_at: instants with their offsets; without one they are UTC.
    """
    if np.any(borrowed_at > repaid_at):
        text = f"an instant from borrowed_at on, {borrowed_at}"
        raise refusal("clock_hours", "repaid_at", str(repaid_at), text)
    start, end = (
        np.asarray(t, dtype="datetime64[ns]").astype(np.int64) for t in (borrowed_at, repaid_at)
    )
    return np.maximum(-(-end // _HOUR) - start // _HOUR, 1)


@checked
def interest(amount: Amount, hourly_rate: Number, hours: Amount) -> float:
    """amount x hourly_rate x hours, for any length of time, without compounding."""
    return amount * hourly_rate * hours


@checked
def binance_interest(
    amount: Amount, daily_rate: Number, borrowed_at: Instant, repaid_at: Instant
) -> float:
    """Binance margin: amount x daily_rate / 24 x `clock_hours`. Source: Binance "Margin Interest",
    article 360030157812.
    """
    return interest(amount, daily_rate / 24.0, clock_hours(borrowed_at, repaid_at))


@checked
def started_hours_interest(amount: Amount, daily_rate: Number, hours: Amount) -> float:
    """freqtrade's reading of Binance: amount x daily_rate / 24 x ceil(hours). It charges 55 minutes
    across two clock hours once, Binance twice.
    """
    return interest(amount, daily_rate / 24.0, np.ceil(hours))


@checked
def kraken_interest(amount: Amount, rate: Number, hours: Amount) -> float:
    """Kraken margin: amount x rate x (1 + ceil(hours / 4)): an opening charge and one rollover for
    each started 4 h. rate: of one charge, a fraction.
    """
    return amount * rate * (1.0 + np.ceil(hours / 4.0))


@checked
def margin_level(owned: Amount, owed: Amount) -> Values:
    """Margin level of a borrowed position: value of all assets / (value of the debt + interest
    owed); infinite without debt. All in one unit.
    """
    return np.where((owed == 0.0) & ~np.isnan(owned), np.inf, owned / owed)


@checked
def spot_margin_price(
    cash: Number, owned: Amount, owed: Amount, level: Positive, owed_quote: Amount = 0.0
) -> float:
    """Price of the coin at which a spot margin account reaches a margin level: (level x owed_quote
    - cash) / (owned - level x owed) [quote per base].

    cash: quote owned, sale proceeds included; owned, owed: coins; owed_quote: quote borrowed;
    interest belongs to what is owed. Level of Binance's cross margin: 1.1 liquidates; of a short of
    1 BTC with 110,000 quote that is 100,000. Infinite where no price reaches it.
    """
    return quotient(level * owed_quote - cash, owned - level * owed)


@checked
def margin_call_state(level: Ratio, call: Exact = 1.3, liquidation: Exact = 1.1) -> Values:
    """What follows a `margin_level`: above call "normal", above liquidation "margin call", else
    "liquidation". Binance cross margin at 3x or 5x.
    """
    low = np.where(level > liquidation, "margin call", "liquidation")
    return np.where(level > call, "normal", low)
