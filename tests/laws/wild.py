"""What hypothesis draws for the laws: settings of an environment, and targets for its episodes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

from tests.laws.play import FLAT, Target
from tests.markets import PLAIN_VENUE

SYMBOLS = st.sampled_from(
    [
        ("PLAIN",),
        ("COSTLY",),
        ("FINE",),
        ("FINE", "COSTLY"),
        ("PLAIN", "PLAIN2"),
        ("COSTLY", "FINE", "PLAIN"),
    ]
)
SEEDS = st.integers(0, 2**31)
MAX_LEVERAGE = 20.0
VENUES = st.sampled_from(
    [
        PLAIN_VENUE,
        *(
            str(Path(__file__).with_name(f"{name}.toml"))
            for name in ("tiered", "twofold", "fifths", "entry")
        ),
    ]
)
OWN_VENUES = tuple(
    str(Path(__file__).with_name(f"{name}.toml"))
    for name in ("plain", "tiered", "twofold", "fifths", "entry")
)
# assets of several venues in one account: perpetual, and spot elsewhere
PLACED = st.sampled_from(
    [
        ("fifths:FINE@plain:FINE", "entry:FINE@tiered:COSTLY"),
        ("FINE", "tiered:COSTLY"),
        ("entry:COSTLY@plain:FINE", "PLAIN@twofold:COSTLY", "fifths:COSTLY"),
        ("twofold:FINE", "tiered:FINE@entry:FINE"),
        ("entry:FINE", "plain:COSTLY", "entry:COSTLY@plain:FINE", "plain:FINE@entry:FINE"),
        ("tiered:FINE@fifths:FINE", "fifths:COSTLY", "tiered:PLAIN", "fifths:PLAIN@tiered:COSTLY"),
        ("entry:FINE@fifths:PLAIN",),
    ]
)
INVERSE_VENUES = st.sampled_from(
    [str(Path(__file__).with_name(f"{name}.toml")) for name in ("coin", "coin_tier", "coin_entry")]
)


@st.composite
def inverse_settings(draw: st.DrawFn) -> dict[str, Any]:
    """`settings` on a venue of coin-margined contracts."""
    return draw(settings()) | {"venue": draw(INVERSE_VENUES)}


@st.composite
def settings(draw: st.DrawFn) -> dict[str, Any]:
    """A config without frozen dials in which anything may be on or off; decisions every 1, 3 or 8
    bars.
    """
    on = st.booleans()
    return {
        "margin_mode": draw(st.sampled_from(["isolated", "cross", "portfolio"])),
        "after_liquidation": draw(st.sampled_from(["flatten", "rehedge", "naked"])),
        "keeper_interval": draw(st.sampled_from([None, "1h", "2h", "8h"])),
        "keeper_watches": draw(st.sampled_from(["wallet", "wallet", "equity"])),
        "capital": draw(st.sampled_from(["parts", "parts", "shared"])),
        "keeper_up": draw(st.sampled_from([1.0, 1.1, 1.6])),
        "keeper_down": draw(st.sampled_from([0.0, 1 / 2.56, 1.0])),
        "decision_interval": draw(st.sampled_from(["1h", "3h", "8h"])),
        "episode": draw(st.sampled_from([None, "24h", "72h"])),
        "reward": draw(st.sampled_from(["log_growth", "mean_variance", "expected"])),
        "max_leverage": MAX_LEVERAGE,
        "initial_equity": draw(st.sampled_from([3_000.0, 100_000.0, 5_000_000.0])),
        "ruin_fraction": draw(st.sampled_from([0.5, 0.1, 0.9, 0.0])),
        "allow_short_spot": draw(on),
        "perp_fee": draw(st.sampled_from([None, -0.0001, 0.01])),
        "spot_fee": draw(st.sampled_from([None, 0.0, 0.01])),
        "cash_rate": draw(st.sampled_from([-0.1, 0.0, 0.045])),
        "quote_borrow_rate": draw(st.sampled_from([None, 5.0])),
        "base_borrow_rate": draw(st.sampled_from([None, 5.0])),
        "fee_scale": draw(st.sampled_from([1.0, 3.0])),
        "cost_scale": draw(st.sampled_from([0.0, 1.0, 4.0])),
        "stress_multiplier": draw(st.sampled_from([1.0, 5.0])),
        "rebalance_band": draw(st.sampled_from([0.0, 0.02, 0.45])),
        "max_participation": draw(st.sampled_from([0.0, 0.01, 0.1])),
        "maker_share": draw(st.sampled_from([0.0, 0.4])),
        "fee_tier": draw(st.sampled_from(["base", "high"])),
        "crash_sigma": draw(st.sampled_from([None, 0.0, 0.5])),
        "adl_sigma": draw(st.sampled_from([0.0, 0.0, 0.3])),
        "adl_share": draw(st.sampled_from([0.2, 0.9])),
        "margin_level": draw(st.sampled_from([0.0, 1.1, 1.5])),
        "base_supply": draw(st.sampled_from([0.0, 2_000.0, 500_000.0])),
        "quote_supply": draw(st.sampled_from([0.0, 2_000.0, 500_000.0])),
        "borrow_used": draw(st.sampled_from([0.0, 0.6, 1.0])),
        "borrow_norm": draw(st.sampled_from([0.02, 0.05])),
        "borrow_steep": draw(st.sampled_from([0.0, 1.0, 50.0])),
        "liquidation_gap": draw(st.sampled_from([0.0, 0.3, 1.0])),
        "deficit_share": draw(st.sampled_from([0.0, 0.5, 1.0])),
        "venue": draw(VENUES),
    }


@st.composite
def remembering_settings(draw: st.DrawFn, base: Any = settings) -> dict[str, Any]:
    """`base` with an impact that stays behind and fades."""
    return (
        draw(base())
        | {"cost_scale": draw(st.sampled_from([0.0, 1.0, 4.0, 100.0]))}
        | draw(
            st.fixed_dictionaries(
                {
                    "impact_lasting": st.sampled_from([0.5, 1.0]),
                    "impact_exponent": st.sampled_from([0.3, 0.5, 0.5, 1.0]),
                    "impact_half_life": st.sampled_from([None, "2h", "3D"]),
                    "funding_response": st.sampled_from([0.0, 1.0, 10.0]),
                }
            )
        )
    )


@st.composite
def crashing_settings(draw: st.DrawFn, base: Any = settings) -> dict[str, Any]:
    """`base` with crashes that are dear, and orders that wait in the book."""
    return draw(base()) | {
        "crash_sigma": draw(st.sampled_from([None, 0.5, 1.5])),
        "crash_spread": draw(st.sampled_from([1.0, 54.0])),
        "crash_impact": draw(st.sampled_from([1.0, 4.5])),
        "stress_multiplier": draw(st.sampled_from([1.0, 5.0, 90.0])),
        "maker_share": draw(st.sampled_from([0.0, 0.4, 1.0])),
        "maker_fill": draw(st.sampled_from([1.0, 0.6])),
        "maker_missed": draw(st.sampled_from([0.0, 80.0])),
    }


@st.composite
def placed_settings(draw: st.DrawFn) -> dict[str, Any]:
    """Accounts on several venues: every leg pays what its own venue asks."""
    return draw(settings()) | {
        "venues": OWN_VENUES,
        "margin_mode": draw(st.sampled_from(["isolated", "cross"])),
        "perp_fee": draw(st.sampled_from([None, None, 0.01])),
        "spot_fee": draw(st.sampled_from([None, None, 0.0])),
        "quote_borrow_rate": None,
        "base_borrow_rate": None,
    }


@st.composite
def away_settings(draw: st.DrawFn) -> dict[str, Any]:
    """`placed_settings` where money needs time to the other venues."""
    return draw(placed_settings()) | {
        "transfer_delay": draw(st.sampled_from(["1h", "2h", "8h"])),
        "transfer_cost": draw(st.sampled_from([0.0, 5.0, 500.0])),
        "rebalance_band": draw(st.sampled_from([0.0, 0.02, 0.1])),
    }


@st.composite
def failing_settings(draw: st.DrawFn) -> dict[str, Any]:
    """Several venues of which one fails; money travels or not."""
    base = draw(st.sampled_from([placed_settings, away_settings]))
    return draw(base()) | {"failure_loss": draw(st.sampled_from([0.0, 0.5, 1.0]))}


COIN_VENUES = tuple(
    str(Path(__file__).with_name(f"{name}.toml")) for name in ("coin", "coin_tier", "coin_entry")
)
# linear contracts beside inverse ones
MIXED = st.sampled_from(
    [
        ("coin:FINE", "tiered:FINE@plain:FINE"),
        ("FINE", "coin_tier:COSTLY@plain:COSTLY", "FINE@fifths:FINE"),
        ("entry:COSTLY", "coin_entry:FINE", "coin_entry:COSTLY", "plain:PLAIN@entry:FINE"),
        ("coin_tier:PLAIN", "twofold:FINE", "coin:FINE@tiered:FINE"),
    ]
)
# of an account on a venue of inverse contracts, which alone may have money that travels beside them
COIN_HOME = st.sampled_from(
    [
        ("FINE", "tiered:FINE@plain:FINE"),
        ("PLAIN@plain:FINE", "entry:COSTLY", "FINE", "entry:FINE@plain:PLAIN"),
    ]
)


@st.composite
def mixed_settings(draw: st.DrawFn) -> dict[str, Any]:
    """Accounts of both kinds of contract, on a venue of either."""
    home = draw(st.sampled_from([PLAIN_VENUE, *COIN_VENUES[:2]]))
    return draw(placed_settings()) | {"venues": (*OWN_VENUES, *COIN_VENUES), "venue": home}


@st.composite
def mixed_away_settings(draw: st.DrawFn) -> dict[str, Any]:
    """`mixed_settings` at home where contracts are inverse, with money that travels."""
    return draw(away_settings()) | {
        "venues": (*OWN_VENUES, *COIN_VENUES),
        "venue": draw(st.sampled_from(COIN_VENUES)),
    }


@st.composite
def poor_settings(draw: st.DrawFn) -> dict[str, Any]:
    """Accounts whose purse is empty most of the time: dear trades, full carry, and no ruin before
    the last penny.
    """
    return draw(settings()) | {
        "keeper_interval": None,
        "decision_interval": "1h",
        "episode": None,
        "ruin_fraction": 0.0,
        "allow_short_spot": True,
        "cash_rate": 0.0,
        "rebalance_band": 0.0,
        "max_participation": 0.0,
        "initial_equity": draw(st.sampled_from([3_000.0, 100_000.0])),
        "perp_fee": draw(st.sampled_from([0.0, 0.003])),
        "cost_scale": draw(st.sampled_from([0.0, 1.0, 100.0])),
        "stress_multiplier": draw(st.sampled_from([1.0, 8.0])),
    }


def full_targets(rng: np.random.Generator, assets: int) -> list[Target | None]:
    """One move: half of the assets want all that they may have, the others leave or hold."""

    def one() -> Target | None:
        kind = rng.random()
        if kind < 0.35:
            return FLAT if kind < 0.25 else None
        return (
            float(rng.choice([-1.0, 0.3, 1.0])),
            float(rng.choice([0.0, 1.0, 1.5])),
            float(rng.choice([1.0, 3.0, MAX_LEVERAGE])),
        )

    return [one() for _ in range(assets)]


def targets(rng: np.random.Generator, assets: int) -> list[Target | None]:
    """One move: each asset holds, goes flat, or takes a target; bold ones are frequent, so that
    liquidations are too.
    """

    def one() -> Target | None:
        kind = rng.random()
        if kind < 0.35:
            return None
        if kind < 0.4:
            return FLAT
        carry = rng.choice([-1.0, 1.0]) if kind < 0.6 else rng.uniform(-1, 1)
        hedge = 1.0 if rng.random() < 0.4 else rng.uniform(0, 1.5)
        return (
            float(carry),
            float(hedge),
            float(rng.choice([1.0, 3.0, MAX_LEVERAGE, rng.uniform(1, MAX_LEVERAGE)])),
        )

    return [one() for _ in range(assets)]


def tame_targets(rng: np.random.Generator, assets: int) -> list[Target | None]:
    """One move of `targets` with a leverage of at most 9, which every venue allows."""
    return [None if t is None else (t[0], t[1], min(t[2], 9.0)) for t in targets(rng, assets)]
