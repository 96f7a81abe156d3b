"""Whether the gateway can find the auth view."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.urls import NoReverseMatch, Resolver404, get_script_prefix, resolve, reverse
from django.utils import translation

_INCLUDE = 'path("_gatepost/", include("gatepost.urls"))'


def check_urls(**kwargs: Any) -> list[CheckMessage]:
    """gatepost.E004: ``gatepost.urls`` is missing; gatepost.E005: something else answers first."""
    if not getattr(settings, "ROOT_URLCONF", None):
        return []
    try:
        path = reverse("gatepost:auth")
    except NoReverseMatch:
        return [_not_included()]
    except ValueError:
        # Django can write no path of such a project (``(?s)`` in one pattern is enough), but finds
        # its views.
        return [] if _answers(f"{get_script_prefix()}_gatepost/auth/") else [_not_included()]
    if _depends_on_language(path):
        return [
            Error(
                f"The auth view is at {path}, which changes with the language.",
                hint=f"Move {_INCLUDE} out of i18n_patterns().",
                id="gatepost.E004",
            )
        ]
    if not _answers(path):
        return [
            Error(
                f"At {path} another view answers than the one that tells the gateway who it is.",
                hint=f"Put {_INCLUDE} above the pattern that catches its path.",
                id="gatepost.E005",
            )
        ]
    return []


def _not_included() -> Error:
    return Error(
        "The gateway cannot ask who a session is: gatepost.urls is not included.",
        hint=f"Add {_INCLUDE} to the urlpatterns of {settings.ROOT_URLCONF}.",
        id="gatepost.E004",
    )


def _depends_on_language(path: str) -> bool:
    # Two tell as much as all hundred, for each of which Django would build all its URLs again.
    for code, _ in settings.LANGUAGES[:2]:
        with translation.override(code):
            if reverse("gatepost:auth") != path:
                return True
    return False


def _answers(path: str) -> bool:
    # Views need models, which are not there when apps import us.
    from gatepost.answering.views import auth

    try:
        # FORCE_SCRIPT_NAME comes before what reverse() gives, and resolve() does not know it.
        return resolve(f"/{path.removeprefix(get_script_prefix())}").func is auth
    except Resolver404:
        return False
