"""The exponential and the logarithm that a step takes, of sums and products alone: they run in
vectors, which calls of the C library do not, and give the same bits wherever products and sums are
rounded one by one, as here.
"""

from fundenv.compiler.jit import jit

NEAR = 0.125  # |a - b| / (a + b) up to which `log_of_ratio` holds
_ROUND = 6755399441055744.0  # 1.5 x 2^52: what is added to it is rounded to an integer
# ln 2 in two parts: products of the first with a number up to 15 are exact.
_PER_LN2, _LN2_HIGH, _LN2_LOW = (
    1.0 / 0.6931471805599453,
    float.fromhex("0x1.62e42fefa3800p-1"),
    float.fromhex("0x1.ef35793c76730p-45"),
)
_C2, _C3, _C4, _C5, _C6, _C7 = 1 / 2, 1 / 6, 1 / 24, 1 / 120, 1 / 720, 1 / 5040  # 1 / k!
_C8, _C9, _C10, _C11, _C12, _C13 = (
    1 / 40320,
    1 / 362880,
    1 / 3628800,
    1 / 39916800,
    1 / 479001600,
    1 / 6227020800,
)
_S3, _S5, _S7, _S9, _S11, _S13, _S15, _S17 = (
    1 / 3,
    1 / 5,
    1 / 7,
    1 / 9,
    1 / 11,
    1 / 13,
    1 / 15,
    1 / 17,
)


@jit
def exp_of(x):
    """e^x for x in [0, 10.7], to less than one unit in the last place: 2^k times the series of the
    rest, which is at most ln(2) / 2 away from 0.

    Here and below the series is added up in pairs and pairs of pairs: in a row every sum would wait
    for the one before.
    """
    k = (x * _PER_LN2 + _ROUND) - _ROUND
    r = (x - k * _LN2_HIGH) - k * _LN2_LOW
    r2 = r * r
    r4 = r2 * r2
    low = (_C2 + r * _C3) + r2 * (_C4 + r * _C5)
    middle = (_C6 + r * _C7) + r2 * (_C8 + r * _C9)
    high = (_C10 + r * _C11) + r2 * (_C12 + r * _C13)
    power = 1.0
    if k >= 8.0:
        k, power = k - 8.0, 256.0
    if k >= 4.0:
        k, power = k - 4.0, power * 16.0
    if k >= 2.0:
        k, power = k - 2.0, power * 4.0
    if k >= 1.0:
        power = power * 2.0
    return power * (1.0 + (r + r2 * (low + r4 * (middle + r4 * high))))


@jit
def log_of_ratio(a, b):
    """ln(a / b) of positive numbers with |a - b| <= NEAR (a + b), to two units in the last place: 2
    artanh((a - b) / (a + b)).

    Near 1 that is more than the logarithm of the rounded quotient, which loses what rounding took.
    """
    s = (a - b) / (a + b)
    z = s * s
    z2 = z * z
    low = (_S3 + z * _S5) + z2 * (_S7 + z * _S9)
    high = (_S11 + z * _S13) + z2 * (_S15 + z * _S17)
    return 2.0 * s + 2.0 * s * (z * (low + z2 * z2 * high))
