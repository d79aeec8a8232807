"""What kind of contract a leg is, in an account that holds linear and inverse ones."""

from fundenv.compiler.generate import tuple_of, written
from fundenv.compiler.jit import jit, jit_mixed_but_for
from fundenv.dynamics.access import rules_of
from fundenv.dynamics.types import INVERSE, MIXED, PLACED, World

_fields = [*(f"world.{name}" for name in World._fields[:-1]), "contract"]
_with_contract = jit(
    written("_with_contract", "world, contract", tuple_of(World, _fields), {"World": World})
)


@jit
def is_inverse(world, book, a):
    """Whether leg a is an inverse contract, in any account."""
    if world.contract != MIXED:
        return world.contract == INVERSE
    return rules_of(world.rules, world.symbols[book, a]).inverse != 0.0


@jit
def _kind_of(world, book, a):
    if world.contract != MIXED:
        return world.contract
    return INVERSE if is_inverse(world, book, a) else PLACED


@jit
def _alike(world, book, a):
    return world


@jit_mixed_but_for(_alike)
def of_leg(world, book, a):
    """The world as the rules of one leg read it: with the kind of contract of leg a."""
    return _with_contract(world, _kind_of(world, book, a))
