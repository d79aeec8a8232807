"""Observations that are handed out for good: nothing that the batch does later shows in them."""

import numpy as np
import pytest

from fundenv.batch.cpu import WORTH_REDIRECTING, Batch
from tests.markets import PLAIN_VENUE, wild_market

COPIED, REDIRECTED = 5, 1700


def batch(envs, gives_away):
    market = wild_market(3, paths=4, length=200)
    made = Batch(
        envs,
        market=market,
        venue=PLAIN_VENUE,
        decision_interval="4h",
        episode="2D",
        autoreset="same_step",
    )
    if gives_away:
        made.give_away()
    return made


@pytest.mark.parametrize("envs", [COPIED, REDIRECTED])
def test_what_is_handed_out_stays(envs):
    kept, plain = batch(envs, True), batch(envs, False)
    assert (plain.obs.size >= WORTH_REDIRECTING) == (envs == REDIRECTED)
    rng, given = np.random.default_rng(0), []

    def note():
        given.append((kept.obs, plain.obs.copy()))

    for each in (kept, plain):
        each.reset(7)
    note()
    state = kept.state()
    for _ in range(15):
        actions = rng.uniform(-1, 1, (envs, 3))
        for each in (kept, plain):
            each.step(actions)
        note()
    for mask in (np.arange(envs) % 2 == 0, None):
        for each in (kept, plain):
            each.reset(mask=mask)
        note()
    for each in (kept, plain):
        each.restore(state)
    note()
    for each in (kept, plain):
        each.step(np.zeros((envs, 3)))
    note()
    assert len({array.ctypes.data for array, _ in given}) == len(given)
    for array, seen in given:
        np.testing.assert_array_equal(array, seen)
    # the state was that of the first reset
    assert np.unique([seen for _, seen in given], axis=0).shape[0] == len(given) - 1
