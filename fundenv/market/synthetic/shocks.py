"""Days with large losses of carry trades, as numbers that can be laid over any history; this is the
only place of each figure.

Hourly moves are rounded from the named source; what no source gives hour by hour is drawn in a
plain shape between the figures that it does give, and said so. `fundenv.market.synthetic.splice`
splices them in.
"""

from __future__ import annotations

from typing import NamedTuple


class Shock(NamedTuple):
    """n hours of stress; the tuples have one entry per hour, or fewer: the last one then holds to
    the end.
    """

    name: str
    source: str
    returns: tuple[float, ...]  # spot return of the hour, per cent
    # hour -> lowest mark price, per cent from the spot close before; elsewhere the ends of the bar
    lows: dict[int, float]
    highs: dict[int, float]  # hour -> highest
    basis: tuple[float, ...]  # last price of the perpetual over spot at the close, bp
    mark_share: float  # share of that basis which the mark price shows
    rates: tuple[float, ...]  # rate of a settlement at the open of the hour, bp of notional
    settle_hours: int | None  # hours between settlements; None: as in the history
    depth: tuple[float, ...]  # volume that can be traded, as a share of the history's

    @property
    def hours(self) -> int:
        """Length in hours."""
        return len(self.returns)


_MARCH_2020 = Shock(
    "2020-03-12",
    "Binance BTC hourly bars 2020-03-12 00:00 to 03-13 16:00 UTC: -54 % from the first price to the"
    " low, -18 % and -17 % within an hour, settled at the then cap of -0.30 %. Worse than recorded"
    " in two points: the low of the last price is taken for the mark's, and the deepest basis of"
    " some minutes, -5 %, stands at the close of that hour. The mark price hardly followed the"
    " basis.",
    (
        *(
            -0.3,
            -2.5,
            -0.9,
            0.2,
            -0.5,
            0.3,
            -2.0,
            -1.4,
            -0.2,
            -0.3,
            -18.2,
            0.9,
            -0.6,
            -0.6,
            1.7,
            0.6,
            -0.7,
            0.4,
            -2.1,
            0.9,
        ),
        *(
            -4.9,
            1.3,
            -0.3,
            -17.3,
            -3.0,
            -11.3,
            17.4,
            6.6,
            -7.6,
            3.8,
            4.9,
            3.6,
            -2.0,
            5.8,
            0.2,
            -3.4,
            2.2,
            1.5,
            -3.8,
            -3.4,
        ),
    ),
    {10: -23.6, 20: -6.8, 23: -23.3, 24: -6.1, 25: -21.5, 26: -8.0, 28: -9.1},
    {11: 7.1, 26: 26.7, 27: 13.1},
    (
        *(
            7.0,
            6.0,
            5.0,
            6.0,
            6.0,
            5.0,
            10.0,
            8.0,
            7.0,
            5.0,
            -56.0,
            -47.0,
            -20.0,
            -9.0,
            -13.0,
            -16.0,
            -5.0,
            -5.0,
            -2.0,
            -5.0,
        ),
        *(
            -10.0,
            -1.0,
            -10.0,
            -74.0,
            -239.0,
            -500.0,
            -257.0,
            -24.0,
            -116.0,
            -120.0,
            -43.0,
            -22.0,
            -34.0,
            -2.0,
            -19.0,
            -5.0,
            -25.0,
            -19.0,
            5.0,
            -9.0,
        ),
    ),
    0.1,
    (*((1.1,) * 16), *((-1.5,) * 16), -30.0),
    None,
    (*((1.0,) * 10), *((0.5,) * 13), *((0.2,) * 8), 0.5),
)
_MAY_2021 = Shock(
    "2021-05-19",
    "Binance BTC hourly bars 2021-05-19 01:00 to 05-20 01:00 UTC: -33 % to the low, the mark price"
    " 16 % below the last close in two hours running, settled at -0.09 % after the fall.",
    (
        -4.1,
        -1.3,
        0.7,
        -3.2,
        -0.3,
        0.5,
        2.5,
        0.2,
        -0.3,
        -2.2,
        -1.9,
        -9.0,
        1.8,
        4.6,
        -0.5,
        6.1,
        -0.5,
        -3.6,
        3.6,
        -2.9,
        1.5,
        0.8,
        -6.1,
        -2.4,
    ),
    {0: -4.9, 3: -4.8, 10: -7.6, 11: -16.0, 12: -16.1, 13: -5.3},
    {13: 4.6, 15: 7.4, 23: 4.0},
    (
        8.0,
        3.0,
        11.0,
        9.0,
        18.0,
        11.0,
        0.0,
        6.0,
        9.0,
        8.0,
        2.0,
        -49.0,
        -59.0,
        -23.0,
        -4.0,
        14.0,
        0.0,
        16.0,
        -1.0,
        1.0,
        3.0,
        -4.0,
        0.0,
        -4.0,
    ),
    1.0,
    (*((3.6,) * 12), -9.0),
    None,
    (*((1.0,) * 10), *((0.3,) * 5), 1.0),
)
_NOVEMBER_2022 = Shock(
    "2022-11-09",
    "The days after FTX: SOL fell from 30 to 14 USD (investing.com 2022-11-25), its perpetual"
    " traded at a discount, Binance settled every 2 h, and the rate stood at the cap of -2 % for a"
    " day. The shape of the fall, of the discount and of its end is drawn, not recorded.",
    (
        *(
            -3.0,
            -4.0,
            -6.0,
            -3.0,
            1.0,
            -4.0,
            -8.0,
            -5.0,
            2.0,
            -6.0,
            -10.0,
            -4.0,
            3.0,
            -5.0,
            -12.0,
            -6.0,
            4.0,
            -4.0,
            -8.0,
            -3.0,
            5.0,
            -5.0,
            3.0,
            -1.0,
        ),
        *(2.0, -2.0, 1.0, 3.0, -3.0, 2.0, 0.0, -1.0, 2.0, 1.0, -1.0, 0.0),
    ),
    {2: -8.0, 10: -12.0, 14: -14.0, 18: -10.0},
    {12: 7.0, 16: 8.0, 20: 9.0},
    (
        -20.0,
        -60.0,
        -120.0,
        -200.0,
        -250.0,
        *((-300.0,) * 24),
        -200.0,
        -120.0,
        -60.0,
        -30.0,
        -20.0,
        -10.0,
    ),
    1.0,
    (-10.0, -10.0, -60.0, -60.0, *((-200.0,) * 26), -100.0, -100.0, -30.0, -30.0, -10.0),
    2,
    (0.5,),
)
_OCTOBER_2025 = Shock(
    "2025-10-10",
    "BTC from 121,000 to 102,000 USD, -16 %, most of it in the 40 minutes from 20:50 UTC;"
    " order-book depth down by 90 to 98 % (Amberdata, 'How $3.21B Vanished in 60 Seconds', 2025)."
    " One row is one hour from 15:00 UTC; between these figures the shape is drawn.",
    (-0.8, -0.6, -0.7, -0.5, -1.5, -3.0, -3.5, 2.0, 0.8, -0.5, 0.6, 0.4),
    {5: -6.0, 6: -9.6},
    {7: 4.0},
    (-3.0, -4.0, -5.0, -6.0, -15.0, -60.0, -80.0, -30.0, -15.0, -10.0, -8.0, -6.0),
    0.5,
    (*((1.0,) * 6), -5.0),
    None,
    (1.0, 1.0, 1.0, 0.8, 0.5, 0.05, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8),
)

SHOCKS: dict[str, Shock] = {
    shock.name: shock for shock in (_MARCH_2020, _MAY_2021, _NOVEMBER_2022, _OCTOBER_2025)
}
