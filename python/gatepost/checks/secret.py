"""What is wrong with the secret, and with the keys of ``settings.GATEPOST``.

Registered by the package. A *missing* secret is nothing with DEBUG on, because the gateway makes
one at its first start and ``migrate`` usually comes before that; nor is it in tests.
"""

from difflib import get_close_matches
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.core.exceptions import ImproperlyConfigured

from gatepost import conf, environment

_HINT = 'Make one with: python -c "import secrets; print(secrets.token_hex(32))"'


def check_secret(**kwargs: Any) -> list[CheckMessage]:
    """gatepost.E001: the secret is missing, too short, padded with white space, or SECRET_KEY."""
    try:
        secret = conf.find_secret()
    except ImproperlyConfigured:
        return []  # check_keys says it.
    if not secret:
        # From tests, which have DEBUG off, nothing leaves, and CI has no gateway. While developing
        # the gateway makes one at its first start.
        if environment.is_testing() or settings.DEBUG:
            return []
        return [Error("Gatepost has no secret.", hint=_missing_hint(), id="gatepost.E001")]
    if secret != secret.strip():
        text = "The Gatepost secret begins or ends with white space, which the gateway may not see."
        return [Error(text, hint="Strip what was read from a file.", id="gatepost.E001")]
    if len(secret) < conf.SHORTEST_SECRET:
        text = (
            f"The Gatepost secret has {len(secret)} bytes; it needs at least"
            f" {conf.SHORTEST_SECRET}."
        )
        return [Error(text, hint=_HINT, id="gatepost.E001")]
    if secret == str(settings.SECRET_KEY).encode():
        text = "The Gatepost secret is SECRET_KEY: if the gateway leaks it, sessions can be forged."
        return [Error(text, hint=_HINT, id="gatepost.E001")]
    return []


def _missing_hint() -> str:
    return f"{conf.SECRETLESS_HINT} {_HINT}"


def check_keys(**kwargs: Any) -> list[CheckMessage]:
    """gatepost.E010: GATEPOST has a key that means nothing."""
    try:
        written = conf.declared()
    except ImproperlyConfigured as error:
        return [Error(str(error), id="gatepost.E010")]
    return [
        Error(f"GATEPOST[{key!r}] is unknown.", hint=_nearest(str(key)), id="gatepost.E010")
        for key in written
        if key not in conf.DEFAULTS
    ]


def _nearest(key: str) -> str:
    near = get_close_matches(key.upper(), conf.DEFAULTS, n=1)
    known = ", ".join(sorted(conf.DEFAULTS))
    return f"Did you mean {near[0]!r}?" if near else f"Known keys: {known}."
