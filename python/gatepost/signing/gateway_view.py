"""What the views for the gateway have in common: they answer it alone, and change nothing.

The auth view, the batch view and the outbox's view use it. The surprise: :func:`detach` deletes
``request.session``, which makes SessionMiddleware neither save the session
(SESSION_SAVE_EVERY_REQUEST would keep an idle one alive for ever) nor set a cookie.
"""

import ipaddress
import logging
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib.auth import decorators
from django.db import connections, transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache

from gatepost import conf
from gatepost.signing import signature, trust

logger = logging.getLogger("gatepost")

View = Callable[[HttpRequest], HttpResponse]


def gateway_view(view: View) -> View:
    """Take a view out of ATOMIC_REQUESTS, of LoginRequiredMiddleware and of caches."""
    return never_cache(exempt(view))


def exempt(view: Any) -> Any:
    """Take a view out of ATOMIC_REQUESTS and of LoginRequiredMiddleware."""
    for alias in connections:
        view = transaction.non_atomic_requests(using=alias)(view)
    # Django 5.1 and later.
    not_required = getattr(decorators, "login_not_required", None)
    return not_required(view) if not_required else view


def refusal(request: HttpRequest, *, of_many: bool = False) -> HttpResponse | None:
    """Return the refusal of a request that is not the gateway's; None where it is.

    A question about many users is never answered without a signature: what comes through a tunnel
    to a developer's machine has that machine's own address, too.
    """
    try:
        if trust.is_signed(request):
            trust.verify(request, signature.hash_body(request.body))
            return None
        if not of_many and settings.DEBUG and _is_loopback(request.META.get("REMOTE_ADDR", "")):
            return None
        raise signature.SignatureError(
            f"The header {signature.HEADER} is missing. Only the gateway may ask here: set the"
            " same GATEPOST_SECRET for the gateway and for Django. (Without a signature only the"
            " auth view answers, with DEBUG on, and only to this machine.)"
        )
    except (signature.SignatureError, conf.SecretMissingError) as error:
        detach(request)
        logger.warning("refused to say whose session it is: %s", error)
        return problem(403, "bad_signature", str(error))


def detach(request: HttpRequest) -> None:
    """Keep the middlewares around the view from saving a session or setting a cookie.

    One that looks at ``request.user`` afterwards finds a user that needs no session.
    """
    from django.contrib.auth.models import AnonymousUser  # Without that app a check says so.

    request.user = AnonymousUser()
    if hasattr(request, "session"):
        del request.session
    # CsrfViewMiddleware would set its cookie, or look for the session that is gone.
    request.META.pop("CSRF_COOKIE_NEEDS_UPDATE", None)


def problem(status: int, error: str, detail: str) -> HttpResponse:
    """Return a refusal as JSON."""
    return JsonResponse({"error": error, "detail": detail}, status=status)


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
