"""Where the calls to the gateway go: ``GATEPOST["BACKEND"]``.

``commit`` hands calls over; ``http`` is the one that reaches a gateway. The surprise: with
``"OUTBOX": True`` and no backend named it is the transactional outbox's, which is called inside of
the caller's transaction, because that is where it stores.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from gatepost import conf
from gatepost.calls import Call

#: What is used where no ``BACKEND`` is set.
HTTP = "gatepost.backends.http.Backend"
OUTBOX = "gatepost.backends.outbox.Backend"


class Backend:
    """What a backend has; subclass it to make your own."""

    #: Whether calls are handed over at once, in the transaction that they belong to, rather than
    #: after its commit.
    in_transaction: ClassVar[bool] = False

    #: Whether what a request says may leave on its response, past this backend.
    rides: ClassVar[bool] = False

    def send(self, calls: Sequence[Call]) -> None:
        """Pass calls on, in their order."""
        raise NotImplementedError

    def send_outside(self, calls: Sequence[Call]) -> None:
        """Pass on calls that must hold even if the caller's transaction does not."""
        self.send(calls)


_made: dict[Any, Backend] = {}


def current() -> Backend:
    """Return the backend that the settings name now."""
    named = conf.value("BACKEND") or (OUTBOX if conf.value("OUTBOX") else HTTP)
    backend = _made.get(named)
    if backend is None:
        backend = _made.setdefault(named, _make(named))
    return backend


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
