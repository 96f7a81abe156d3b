"""The views that say who a session is (``auth``), and who hundreds of them are (``sessions``).

The gateway asks with the browsers' cookies. Both views only read: see ``logins``, and
``signing.gateway_view`` for what keeps the middlewares around them from writing.
"""

import json
import logging
from typing import Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse, parse_cookie
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST

from gatepost.answering import resolving, session_cookie
from gatepost.answering.answers import answer
from gatepost.answering.logins import find_logins
from gatepost.signing.gateway_view import detach, gateway_view, problem, refusal

logger = logging.getLogger("gatepost")

#: Frames leave as short as they can be; NaN is a mistake that the gateway could only refuse.
_JSON = {"allow_nan": False, "ensure_ascii": False, "separators": (",", ":")}

#: How many sessions one question may be about.
MOST_SESSIONS = 500


@gateway_view
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
    session_cookie.add_to(response)
    return response


@csrf_exempt
@gateway_view
@require_POST
def sessions(request: HttpRequest) -> HttpResponse:
    """Answer whose the sessions of up to 500 ``Cookie`` headers are, to the gateway alone."""
    try:
        refused = refusal(request, of_many=True)
    except RequestDataTooBig:
        detach(request)
        return problem(413, "too_large", "Ask for fewer sessions at once.")
    if refused is not None:
        return refused
    detach(request)
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
    session_cookie.add_to(response)
    return response


def _answers(keys: list[str | None], frames: bool) -> list[dict[str, Any] | None]:
    """Return an answer for each session; None where the project's code failed over it.

    The gateway asks about that one alone, and the others still get their answers.
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
