"""Whether Django's test environment is set up here, and which test runs.

``backends`` asks, since in tests nothing is sent, as no mail is. Django has no public name for the
first and no signal for the second. So the first is read where Django keeps it, and for the second
``SimpleTestCase.__call__`` is wrapped when a process first makes a call in a test. What pytest runs
by itself, without pytest-django too, is told and counted by ``pytest_plugin``.
"""

import sys
from functools import wraps
from itertools import count
from typing import Any

#: Signs and digests in tests whose settings have no secret, so that Session targets work.
SECRET = b"a secret for tests, which signs nothing real"

_numbers = count(1)
_test = 0
_is_watching = False
_runs_tests = False


def is_testing() -> bool:
    """Return whether ``setup_test_environment()`` was called, as Django's test runners do."""
    # Not `mail.outbox`: the locmem mail backend makes that outside of tests, too.
    state = getattr(sys.modules.get("django.test.utils"), "_TestState", None)
    return _runs_tests or hasattr(state, "saved_data")


def begin_session() -> None:
    """Say that this process runs tests, whether or not anybody sets up Django's environment."""
    global _runs_tests
    _runs_tests = True


def current_test() -> int:
    """Return a number that is another one in each test; always 0 outside of tests."""
    if not _is_watching and is_testing():
        _watch()
    return _test


def begin_test() -> None:
    """Say that another test begins."""
    global _test
    _test = next(_numbers)


def _watch() -> None:
    global _is_watching
    from django.test import SimpleTestCase

    _is_watching = True
    run = SimpleTestCase.__call__

    @wraps(run)
    def begin_and_run(self: Any, result: Any = None) -> Any:
        begin_test()
        return run(self, result)

    SimpleTestCase.__call__ = begin_and_run
