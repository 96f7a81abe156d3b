"""The views for the gateway: who a session is (``auth``), and who hundreds are (``sessions``).

The gateway asks with the browsers' cookies. Both views only read: see ``logins``. The surprise:
they delete ``request.session``, which makes SessionMiddleware neither save the session
(SESSION_SAVE_EVERY_REQUEST would keep an idle one alive for ever) nor set a cookie.
"""

import ipaddress
import json
import logging
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib.auth import decorators
from django.core.exceptions import RequestDataTooBig
from django.db import InterfaceError, OperationalError, connections, transaction
from django.http import HttpRequest, HttpResponse, JsonResponse, parse_cookie
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST

from gatepost import conf
from gatepost.answering import resolving, session_cookie
from gatepost.answering.answers import answer
from gatepost.answering.logins import find_logins
from gatepost.signing import signature, trust

logger = logging.getLogger("gatepost")

#: Frames leave as short as they can be; NaN is a mistake that the gateway could only refuse.
_JSON = {"allow_nan": False, "ensure_ascii": False, "separators": (",", ":")}

#: How many sessions can be asked for at once.
MOST_SESSIONS = 500

View = Callable[[HttpRequest], HttpResponse]


def apart(view: View) -> View:
    """Take a view out of ATOMIC_REQUESTS, of LoginRequiredMiddleware and of caches."""
    for alias in connections:
        view = transaction.non_atomic_requests(using=alias)(view)
    # Django 5.1 and later.
    not_required = getattr(decorators, "login_not_required", None)
    return never_cache(not_required(view) if not_required else view)


@apart
@require_GET
def auth(request: HttpRequest) -> HttpResponse:
    """Answer whose session the request carries, to the gateway alone."""
    refused = refusal(request)
    if refused is not None:
        return refused
    login = resolving.resolve(request)
    if login is not None:
        request.user = login.user
    response = JsonResponse(answer(login), json_dumps_params=_JSON)
    # Were a cache between us to ignore no-store, it must not give one user's answer to another.
    response["Vary"] = "Cookie"
    session_cookie.tell(response)
    return response


@csrf_exempt
@apart
@require_POST
def sessions(request: HttpRequest) -> HttpResponse:
    """Answer whose the sessions of up to 500 ``Cookie`` headers are, to the gateway alone."""
    try:
        refused = refusal(request, of_many=True)
    except RequestDataTooBig:
        resolving.detach(request)
        return problem(413, "too_large", "Ask for fewer sessions at once.")
    if refused is not None:
        return refused
    resolving.detach(request)
    if not resolving.is_by_session():
        text = "GATEPOST['USER_RESOLVER'] needs a request for each session: ask one by one."
        return problem(501, "not_in_batches", text)
    asked = _asked(request.body)
    if asked is None:
        text = f'The body must be {{"sessions":[Cookie headers]}}, at most {MOST_SESSIONS}.'
        return problem(400, "bad_request", text)
    cookies, frames = asked
    keys = [_session_key(one) for one in cookies]
    response = JsonResponse({"sessions": _answers(keys, frames)}, json_dumps_params=_JSON)
    session_cookie.tell(response)
    return response


def _answers(keys: list[str | None], frames: bool) -> list[dict[str, Any] | None]:
    """Return an answer for each session; None where the project's code failed over it.

    Of one that fails the gateway asks by itself; the others must not go without an answer for it.
    """
    try:
        return [answer(login, frames=frames) for login in find_logins(keys)]
    except (OperationalError, InterfaceError):
        raise  # The database is away, for all of them.
    except Exception:
        if len(keys) == 1:
            logger.exception("cannot say whose a session is")
            return [None]
        half = len(keys) // 2
        return _answers(keys[:half], frames) + _answers(keys[half:], frames)


def _asked(body: bytes) -> tuple[list[str], bool] | None:
    try:
        said: Any = json.loads(body)
        cookies, frames = said["sessions"], said.get("frames", True)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    fits = isinstance(cookies, list) and len(cookies) <= MOST_SESSIONS
    if not fits or not all(isinstance(one, str) for one in cookies):
        return None
    return cookies, frames is not False


def _session_key(cookies: str) -> str | None:
    return parse_cookie(cookies).get(settings.SESSION_COOKIE_NAME)


def problem(status: int, error: str, detail: str) -> HttpResponse:
    """Return a refusal as JSON."""
    return JsonResponse({"error": error, "detail": detail}, status=status)


def refusal(request: HttpRequest, *, of_many: bool = False) -> HttpResponse | None:
    """Return what to answer to somebody who is not the gateway.

    What is about many users is never answered without a signature: a tunnel to a developer's
    machine comes from this very machine, too.
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
        resolving.detach(request)
        logger.warning("refused to say whose session it is: %s", error)
        return problem(403, "bad_signature", str(error))


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
