"""Which middlewares a project has, and those that stand in the gateway's way.

The other checks ask :func:`position`. A project's own subclass counts as the class.
"""

import re
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Warning
from django.utils.module_loading import import_string

#: The middleware that believes the gateway's signature.
GATEPOST = "gatepost.middleware.GatepostMiddleware"

#: Django's own: the auth view is exempt from it.
LOGIN_REQUIRED = "django.contrib.auth.middleware.LoginRequiredMiddleware"

#: How people call middlewares that send everybody to the login page.
_LOGIN_REQUIRED_NAMES = re.compile(
    r"(Login|Auth|Authentication|SignIn)Required|(Require|Force|Enforce)s?(Login|Auth|SignIn)"
)


def position(wanted: str) -> int | None:
    """Return where in MIDDLEWARE a class or a subclass of it stands, or None."""
    for number, path in enumerate(settings.MIDDLEWARE):
        if path == wanted or _is_subclass(path, wanted):
            return number
    return None


def _is_subclass(path: str, wanted: str) -> bool:
    try:
        made, base = import_string(path), import_string(wanted)
    except ImportError:
        return False  # Django says so itself when it serves.
    return isinstance(made, type) and isinstance(base, type) and issubclass(made, base)


def check_first(**kwargs: Any) -> list[CheckMessage]:
    """gatepost.W015: another middleware comes before GatepostMiddleware."""
    place = position(GATEPOST)
    if not place:
        return []
    return [
        Warning(
            f"{settings.MIDDLEWARE[0]} comes before GatepostMiddleware: it sees the gateway's"
            " address and scheme instead of the browser's, and where it replaces a response or"
            " fails, what the request published is lost.",
            hint=f'Make "{GATEPOST}" the first of MIDDLEWARE.',
            id="gatepost.W015",
        )
    ]


def check_login_required(**kwargs: Any) -> list[CheckMessage]:
    """gatepost.W010: a middleware that may send the gateway to the login page."""
    return [
        Warning(
            f"{path} looks like a middleware that sends everybody who is not logged in to the"
            " login page, perhaps the gateway, too.",
            hint=(
                "Let it pass paths that begin with /_gatepost/, then silence this check with"
                " SILENCED_SYSTEM_CHECKS = ['gatepost.W010']. Django's own LoginRequiredMiddleware"
                " (5.1 and later) passes them by itself."
            ),
            id="gatepost.W010",
        )
        for path in settings.MIDDLEWARE
        if _LOGIN_REQUIRED_NAMES.search(path.rpartition(".")[2])
        and path != LOGIN_REQUIRED
        and not _is_subclass(path, LOGIN_REQUIRED)
    ]
