"""Where the calls to the gateway go: ``GATEPOST["BACKEND"]``.

``commit`` hands calls over; ``http`` is the one that reaches a gateway. The surprise: in Django's
test environment it is ``locmem`` whatever the project's settings name, as it is for mails. Only
what a test itself puts into ``GATEPOST`` counts there.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from gatepost import conf, environment
from gatepost.sending.calls import Call

#: What is used where no ``BACKEND`` is set.
HTTP = "gatepost.backends.http.Backend"
OUTBOX = "gatepost.backends.outbox.Backend"

#: What tests get.
LOCMEM = "gatepost.backends.locmem.Backend"


class Backend:
    """What a backend has; subclass it to make your own."""

    #: Whether calls are handed over at once, in the transaction that they belong to, rather than
    #: after its commit.
    in_transaction: ClassVar[bool] = False

    #: Whether what a request says may leave on its response, past this backend.
    rides: ClassVar[bool] = False

    #: Whether calls are on their way to a gateway with it, or end in this process.
    reaches_gateway: ClassVar[bool] = True

    def send(self, calls: Sequence[Call]) -> None:
        """Pass calls on, in their order."""
        raise NotImplementedError

    def send_outside(self, calls: Sequence[Call]) -> None:
        """Pass on calls that must hold even if the caller's transaction does not."""
        self.send(calls)


_made: dict[Any, Backend] = {}


def current() -> Backend:
    """Return the backend that the settings name now; in a test, what the test chose."""
    named = _named()
    if environment.is_testing() and named in (None, _projects()):
        named = LOCMEM
    named = named or HTTP
    backend = _made.get(named)
    if backend is None:
        backend = _made.setdefault(named, _make(named))
    return backend


def is_cut_off() -> bool:
    """Return whether this is a test that must reach no gateway."""
    return environment.is_testing() and not current().reaches_gateway


_remembered: list[Any] = []


def remember_project() -> None:
    """Keep what the project itself names, before any test overrides it."""
    if not _remembered:
        _remembered.append(_named())


def _projects() -> Any:
    remember_project()
    return _remembered[0]


def _named() -> Any:
    # With OUTBOX it is called inside of the caller's transaction, because that is where it stores.
    return conf.value("BACKEND") or (OUTBOX if conf.value("OUTBOX") else None)


def _make(named: Any) -> Backend:
    try:
        made = import_string(named)() if isinstance(named, str) else named()
    except (ImportError, TypeError) as error:
        raise ImproperlyConfigured(
            f"GATEPOST['BACKEND'] must be the dotted path of a backend; {named!r} is not: {error}"
        ) from error
    if not isinstance(made, Backend):
        raise ImproperlyConfigured(
            f"GATEPOST['BACKEND'] must name a subclass of gatepost.backends.Backend, not {named!r}"
        )
    return made
