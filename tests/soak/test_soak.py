"""Random trials: a session is delivered whole or not left behind, whatever is signalled, read, cut or slow."""

import pytest

from tests.soak.__main__ import failures, seeds


@pytest.mark.timeout(660)  # usually one or two minutes
def test_a_session_is_delivered_whole_or_not_left_behind_in_300_random_trials() -> None:
    found = list(failures(seeds(300, seed=1)))
    assert not found, "\n".join(found)
