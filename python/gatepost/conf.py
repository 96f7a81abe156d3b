"""What the project says in ``settings.GATEPOST``, with defaults.

Every other module reads its settings here. Nothing is cached. Each value is read from Django's
settings when it is needed, so ``override_settings`` works without a receiver of
``setting_changed``, and a development secret that the gateway makes after Django started is found.
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from gatepost import environment, running, state

#: Every key of ``GATEPOST`` with its default.
DEFAULTS: dict[str, Any] = {
    # Signs both ways; at least 32 bytes. None: GATEPOST_SECRET, or with DEBUG the gateway's file.
    "SECRET": None,
    # Still believed while secrets are rotated. None: GATEPOST_SECRET_PREVIOUS.
    "SECRET_PREVIOUS": None,
    # The gateway's internal address: http://host:port, unix:/path, or a list for several gateways.
    # Not set: GATEPOST_URL, or with DEBUG where `rungateway` runs one.
    "URL": "http://127.0.0.1:9400",
    # Where calls go, as a dotted path. None: the gateway, or with OUTBOX the transactional outbox.
    # In Django's test environment it is gatepost.testing.outbox, unless a test overrides it.
    "BACKEND": None,
    # Whether calls are stored in the transaction (app gatepost.outbox) and pulled by the gateway.
    "OUTBOX": False,
    # How many seconds the transactional outbox keeps what gateways may not have pulled yet.
    "OUTBOX_KEEP": 86_400.0,
    # Function (or its dotted path): name -> whether the gateway may have a certificate for it and
    # serve it, with `[tls.acme] names = "django"`. None: no name but those of gateway.toml.
    "HOSTS": None,
    # The most bytes of a frame: delivery.outbox_size in gateway.toml, where that says something.
    "FRAME_SIZE": 262_144,
    # How many seconds a call to the gateway may take.
    "TIMEOUT": 1.0,
    # Whether a gateway that cannot be reached is only logged; False raises GatewayError.
    "FAIL_SILENTLY": True,
    # Whether calls wait for the transaction's commit.
    "ON_COMMIT": True,
    # The database whose transaction is waited for, where several are open.
    "DATABASE": "default",
    # Function (or its dotted path): user -> names of groups. None: the names of user.groups.
    "GROUPS": None,
    # How many seconds a token for topics (topic_token, {% topics %}) can be used to subscribe.
    "TOPIC_MAX_AGE": 43_200,
    # Whose tokens for topics are asked about again: {"shop.order:<pk>": function or its dotted
    # path}, which is given the ids of users and a key, and returns those who may listen. None
    # instead of a function: a model that is not asked about on purpose.
    "TOPICS": {},
    # Function (or its dotted path): user -> the frames that a new socket gets first.
    "INITIAL_FRAMES": None,
    # Who a handshake is: "session" (read only), "request" (request.user, for middlewares that set
    # it) or a function (or its dotted path): request -> user.
    "USER_RESOLVER": "session",
    # Whether a handshake counts as activity: saves the session and sets its cookie again.
    "TOUCH_SESSION_ON_CONNECT": False,
    # Whether a user that is saved, deleted or put into groups has the gateway ask again about it.
    # A list names the fields of the user that matter besides is_active and password.
    "RECHECK_ON_USER_SAVE": True,
    # Whether a session that ends (logout, another user's login) closes its sockets.
    "REVOKE_ON_LOGOUT": True,
}

#: The shortest secret that is accepted, in bytes.
SHORTEST_SECRET = 32

#: Said wherever a secret is needed and there is none.
SECRETLESS_HINT = (
    "Set GATEPOST['SECRET'] or the environment variable GATEPOST_SECRET to the secret of the"
    " gateway (at least 32 bytes). With DEBUG on, the file .gatepost/secret that a gateway on"
    " this machine makes beside its gateway.toml is found by itself."
)


class SecretMissingError(Exception):
    """There is no secret, so nothing can be signed, verified or digested."""

    def __init__(self) -> None:
        super().__init__(f"Gatepost has no secret. {SECRETLESS_HINT}")


def declared() -> dict[str, Any]:
    """Return ``settings.GATEPOST`` as the project wrote it."""
    written = getattr(settings, "GATEPOST", None) or {}
    if not isinstance(written, dict):
        raise ImproperlyConfigured(f"GATEPOST must be a dict, not {type(written).__name__}")
    return written


def value(key: str) -> Any:
    """Return one setting, or its default."""
    if key == "URL" and key not in declared():
        return os.environ.get("GATEPOST_URL") or _running_url() or DEFAULTS[key]
    return declared().get(key, DEFAULTS[key])


def _running_url() -> str | None:
    """Return where the gateway of ``rungateway`` is called, while developing."""
    found = running.find()
    return found.internal if found else None


def function(key: str) -> Callable[..., Any] | None:
    """Return the callable that a setting names by its dotted path (or is), if it is set."""
    named = value(key)
    if isinstance(named, str) and named:
        named = import_string(named)
    if named is None or named == "":
        return None
    if not callable(named):
        raise ImproperlyConfigured(f"GATEPOST[{key!r}] must be a callable or a dotted path to one")
    return named


def topic_max_age() -> int:
    """Return how many whole seconds a token for topics lives."""
    said = value("TOPIC_MAX_AGE")
    seconds = said.total_seconds() if isinstance(said, timedelta) else said
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or seconds < 1:
        raise ImproperlyConfigured(
            f"GATEPOST['TOPIC_MAX_AGE'] must be seconds, at least 1, not {said!r}"
        )
    return int(seconds)


def secret() -> bytes:
    """Return the secret that signs; raise :class:`SecretMissingError` where there is none."""
    found = find_secret()
    if not found and environment.is_testing():
        found = environment.SECRET
    if not found:
        raise SecretMissingError
    return found


def secrets() -> list[bytes]:
    """Return the secrets that are believed: the current one and, during rotation, the previous."""
    previous = _as_bytes(value("SECRET_PREVIOUS") or os.environ.get("GATEPOST_SECRET_PREVIOUS"))
    return [secret(), previous] if previous else [secret()]


def find_secret() -> bytes:
    """Return the secret from settings, environment or (with DEBUG) the gateway's file, or b""."""
    named = _as_bytes(value("SECRET") or os.environ.get("GATEPOST_SECRET"))
    if named or not settings.DEBUG:
        return named
    return next(_secrets_in_files(), b"")


def _secrets_in_files() -> Iterator[bytes]:
    """Yield what ``.gatepost/secret`` holds in BASE_DIR and its parents, nearest first."""
    for path in state.files("secret"):
        with contextlib.suppress(OSError):
            if text := path.read_bytes().strip():
                yield text


def _as_bytes(secret: str | bytes | None) -> bytes:
    return secret.encode() if isinstance(secret, str) else secret or b""
