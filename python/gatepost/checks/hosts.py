"""ALLOWED_HOSTS as people get it wrong, and which further names the gateway may serve.

Django answers 400 to every request then, and says little. It has a check for CSRF_TRUSTED_ORIGINS
without a scheme, but none for hosts *with* one.
"""

from typing import Any

from asgiref.sync import iscoroutinefunction
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning
from django.core.exceptions import ImproperlyConfigured

from gatepost import conf
from gatepost.checks.declared import value
from gatepost.program import gateway_toml
from gatepost.program.hosts import host_alone

_HOSTS = "HOSTS = 'shop.domains.is_ours', a function that is given a name and returns a bool."


def check_hosts(**kwargs: Any) -> list[CheckMessage]:
    """gatepost.E006: an entry of ALLOWED_HOSTS that no request can match."""
    messages: list[CheckMessage] = []
    for entry in settings.ALLOWED_HOSTS:
        meant = host_alone(str(entry))
        if meant != entry:
            messages.append(
                Error(
                    f"ALLOWED_HOSTS has {entry!r}, which no request can match.",
                    hint=f"Write {meant!r}: a host alone, without scheme, port and path.",
                    id="gatepost.E006",
                )
            )
    return messages


def check_on_demand(**kwargs: Any) -> list[CheckMessage]:
    """gatepost.E046 and W046: HOSTS is no function, or is missing where the gateway asks it."""
    if not value("HOSTS"):
        return [_missing()] if gateway_toml.orders_what_django_allows() else []
    try:
        wrong = "is a coroutine" if iscoroutinefunction(conf.function("HOSTS")) else ""
    except (ImportError, ImproperlyConfigured):
        wrong = f"is {value('HOSTS')!r}, which is no function that can be imported"
    if not wrong:
        return []
    hint = f"Write {_HOSTS}"
    return [Error(f"GATEPOST['HOSTS'] {wrong}.", hint=hint, id="gatepost.E046")]


def _missing() -> Warning:
    return Warning(
        'gateway.toml has [tls.acme] names = "django", but GATEPOST does not say which names are'
        " this site's: none gets a certificate.",
        hint=f"Say so: {_HOSTS}",
        id="gatepost.W046",
    )
