"""Counter-based random numbers: a draw depends on (seed, episode, draw) and on nothing else.

Environment i of a batch seeded s has seed s + i, as Gymnasium's own vector environments do; so a
batch of any size, on any backend, and a single environment draw the same starts. Thirty-two-bit
words in int64 arithmetic give the same number in numba, CUDA and plain Python.
"""

from fundenv.compiler.jit import jit

_MASK = 0xFFFFFFFF


@jit
def mix(word):
    """Bijective 32-bit hash (two multiply-xorshift rounds, constants from C. Wellons' hash
    prospector).
    """
    word = ((word ^ (word >> 16)) * 0x21F0AAAD) & _MASK
    word = ((word ^ (word >> 15)) * 0x735A2D97) & _MASK
    return word ^ (word >> 15)


@jit
def uniform(seed, episode, draw):
    """Uniform number in [0, 1) with 53 random bits for the counter (seed, episode, draw); seed any
    integer from 0 to 2**62.
    """
    word = mix((seed & _MASK) ^ 0x9E3779B9)
    word = mix(word ^ ((seed >> 32) & _MASK))
    word = mix((word + episode * 0x3C6EF372) & _MASK)
    word = mix((word + draw * 0x1B873593) & _MASK)
    high = mix(word ^ 0x6A09E667)
    low = mix(word ^ 0x3B67AE85)
    return ((high >> 5) * 67108864.0 + (low >> 6)) / 9007199254740992.0


@jit
def below(seed, episode, draw, count):
    """Uniform integer in [0, count)."""
    return min(int(uniform(seed, episode, draw) * count), count - 1)
