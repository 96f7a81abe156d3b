"""Once in so many seconds, for each key."""

import pytest

from gatepost import throttle
from gatepost.throttle import Throttle


@pytest.fixture
def clock(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(throttle.time, "monotonic", lambda: now[0])
    return now


def test_it_is_allowed_once_until_its_time_has_passed(clock):
    once = Throttle(60)
    assert [once.allows(), once.allows()] == [True, False]
    clock[0] += 59.9
    assert not once.allows()
    clock[0] += 0.1
    assert once.allows()


def test_each_key_has_its_own_time(clock):
    once = Throttle(60)
    assert [once.allows(key) for key in ("a", "b", "a")] == [True, True, False]


def test_what_happens_anyway_counts(clock):
    once = Throttle(60)
    once.record("a")
    assert not once.allows("a")


def test_the_oldest_keys_are_forgotten(clock):
    once = Throttle(60, most_keys=2)
    for key in ("a", "b", "c"):
        assert once.allows(key)
    assert len(once) == 2
    assert not once.allows("c")
    assert once.allows("a")
