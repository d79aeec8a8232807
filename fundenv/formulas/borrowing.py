"""Interest on loans, and the margin level of a spot margin account.

Interest is positive, an amount that the borrower owes, in the unit of the amount borrowed.
"""

from __future__ import annotations

import datetime as dt
import math

_HOUR = dt.timedelta(hours=1)
_EPOCH = dt.datetime(1970, 1, 1)


def clock_hours(borrowed_at: dt.datetime, repaid_at: dt.datetime) -> int:
    """Clock hours that a loan touches, at least 1: 13:20 to 14:15 is 2. Both times in one time
    zone. A loan repaid on the hour does not touch the next.
    """
    start, end = (moment.replace(tzinfo=None) - _EPOCH for moment in (borrowed_at, repaid_at))
    return max(-(-end // _HOUR) - start // _HOUR, 1)


def interest(amount: float, hourly_rate: float, hours: float) -> float:
    """amount x hourly_rate x hours, for any length of time, without compounding."""
    return amount * hourly_rate * hours


def binance_interest(
    amount: float, daily_rate: float, borrowed_at: dt.datetime, repaid_at: dt.datetime
) -> float:
    """Binance margin: amount x daily_rate / 24 x `clock_hours`. Source: Binance "Margin Interest",
    article 360030157812.
    """
    return interest(amount, daily_rate / 24.0, clock_hours(borrowed_at, repaid_at))


def started_hours_interest(amount: float, daily_rate: float, hours: float) -> float:
    """freqtrade's reading of Binance: amount x daily_rate / 24 x ceil(hours). It charges 55 minutes
    across two clock hours once, Binance twice.
    """
    return interest(amount, daily_rate / 24.0, math.ceil(hours))


def kraken_interest(amount: float, rate: float, hours: float) -> float:
    """Kraken margin: amount x rate x (1 + ceil(hours / 4)): an opening charge and one rollover for
    each started 4 h. rate: of one charge, a fraction.
    """
    return amount * rate * (1 + math.ceil(hours / 4.0))


def margin_level(owned: float, owed: float) -> float:
    """Margin level of a borrowed position: value of all assets / (value of the debt + interest
    owed); infinite without debt. All in one unit.
    """
    return owned / owed if owed > 0.0 else math.inf


def spot_margin_price(
    cash: float, owned: float, owed: float, level: float, owed_quote: float = 0.0
) -> float:
    """Price of the coin at which a spot margin account reaches a margin level: (level x owed_quote
    - cash) / (owned - level x owed) [quote per base].

    cash: quote owned, sale proceeds included; owned, owed: coins; owed_quote: quote borrowed;
    interest belongs to what is owed. Level of Binance's cross margin: 1.1 liquidates; of a short of
    1 BTC with 110,000 quote that is 100,000. Infinite where no price reaches it.
    """
    held = owned - level * owed
    return (level * owed_quote - cash) / held if held != 0.0 else math.inf


def margin_call_state(level: float, call: float = 1.3, liquidation: float = 1.1) -> str:
    """What follows a `margin_level`: above call "normal", above liquidation "margin call", else
    "liquidation". Binance cross margin at 3x or 5x.
    """
    if level > call:
        return "normal"
    return "margin call" if level > liquidation else "liquidation"
