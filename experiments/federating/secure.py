"""A sum of which no single contribution is seen: pairwise masks that cancel.

After Bonawitz et al., "Practical Secure Aggregation for Privacy-Preserving Machine Learning" (CCS
2017), without its recovery of lost clients: each pair of clients agrees on a key that the server
does not know (X25519), draws one mask from it (ChaCha20), and one of the two adds it while the
other subtracts it. Numbers are whole multiples of 2^-40 modulo 2^64, so that a masked message is
uniformly distributed whatever it holds, and the sum is exact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from numpy.typing import NDArray

from experiments.core.run_folder import RunError

Array = NDArray[np.float64]
Masked = NDArray[np.uint64]
BITS = 40  # behind the point
_HIGHEST = 2.0 ** (63 - BITS)  # of a sum


class Party:
    """One client: its key, and those that it shares with the others."""

    def __init__(self, number: int) -> None:
        self.number = number
        self._secret = X25519PrivateKey.generate()
        self._shared: dict[int, bytes] = {}

    @property
    def public(self) -> bytes:
        """What the others need, 32 bytes."""
        return self._secret.public_key().public_bytes_raw()

    def meet(self, publics: Mapping[int, bytes]) -> None:
        """Agree on a key with every other client."""
        for other, public in publics.items():
            if other != self.number:
                secret = self._secret.exchange(X25519PublicKey.from_public_bytes(public))
                pair = f"fundenv {min(self.number, other)} {max(self.number, other)}"
                derive = HKDF(algorithm=SHA256(), length=32, salt=None, info=pair.encode())
                self._shared[other] = derive.derive(secret)

    def mask(self, values: Array, exchange: int, among: Sequence[int]) -> Masked:
        """The message (n,) of this client in one exchange among the clients `among`.

        An exchange number must serve once only: two messages under one mask would show their
        difference.
        """
        message = fixed(values, len(among))
        for other in among:
            if other == self.number:
                continue
            drawn = _stream(self._shared[other], exchange, len(values))
            message = message + drawn if self.number < other else message - drawn
        return message


def fixed(values: Array, clients: int) -> Masked:
    """Whole multiples of 2^-40, modulo 2^64. Raises `RunError` where the sum could not be held."""
    values = np.asarray(values, dtype=np.float64)
    highest = float(np.abs(values).max(initial=0.0))
    if not np.isfinite(values).all() or highest * clients >= _HIGHEST:
        raise RunError(
            f"a contribution of size {highest:g} does not fit into the secure sum, which holds less"
            f" than {_HIGHEST / clients:g} for each of {clients} clients; check the data for"
            " outliers"
        )
    return np.rint(values * 2.0**BITS).astype(np.int64).view(np.uint64)


def total(messages: Sequence[Masked]) -> Array:
    """The sum of what all clients masked, exact in multiples of 2^-40: all masks cancel."""
    added = np.zeros_like(messages[0])
    for message in messages:
        added = added + message
    return added.view(np.int64).astype(np.float64) / 2.0**BITS


def _stream(key: bytes, exchange: int, n: int) -> Masked:
    nonce = (0).to_bytes(8, "little") + exchange.to_bytes(8, "little")
    drawn = Cipher(ChaCha20(key, nonce), mode=None).encryptor().update(bytes(8 * n))
    return np.frombuffer(drawn, dtype="<u8").astype(np.uint64)
