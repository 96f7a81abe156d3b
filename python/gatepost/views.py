"""The auth view: tells the gateway who a session is.

The gateway asks it at each handshake, with the browser's cookies. It only reads: see ``sessions``.
The surprise: it deletes ``request.session``, which makes SessionMiddleware neither save the session
(SESSION_SAVE_EVERY_REQUEST would keep an idle one alive for ever) nor set a cookie.
"""

import ipaddress
import logging
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from django.conf import settings
from django.contrib.auth import decorators
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import ImproperlyConfigured
from django.db import connections, transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from gatepost import conf, signature
from gatepost.sessions import Login, find_login

logger = logging.getLogger("gatepost")

#: Marks an answer as this view's: a frontend's fallback page answers 200 to any path, too.
VERSION = 1

#: Frames leave as short as they can be; NaN is a mistake that the gateway could only refuse.
_JSON = {"allow_nan": False, "separators": (",", ":")}

#: What may stand in a path as it is (RFC 3986, pchar).
_PATH_CHARACTERS = "/:@!$&'()*+,;=~"

View = Callable[[HttpRequest], HttpResponse]


def _apart(view: View) -> View:
    """Take a view out of ATOMIC_REQUESTS and of LoginRequiredMiddleware."""
    for alias in connections:
        view = transaction.non_atomic_requests(using=alias)(view)
    # Django 5.1 and later.
    not_required = getattr(decorators, "login_not_required", None)
    return not_required(view) if not_required else view


@_apart
@never_cache
@require_GET
def auth(request: HttpRequest) -> HttpResponse:
    """Answer whose session the request carries, to the gateway alone."""
    key = request.COOKIES.get(settings.SESSION_COOKIE_NAME)
    _detach(request)
    try:
        _verify(request)
    except (signature.SignatureError, conf.SecretMissingError) as error:
        logger.warning("refused to say whose session it is: %s", error)
        return JsonResponse({"error": "bad_signature", "detail": str(error)}, status=403)
    login = find_login(key)
    if login is not None:
        request.user = login.user
    response = JsonResponse(_answer(login), json_dumps_params=_JSON)
    # Were a cache between us to ignore no-store, it must not give one user's answer to another.
    response["Vary"] = "Cookie"
    return response


def _detach(request: HttpRequest) -> None:
    """Keep the middlewares around the view from saving a session or setting a cookie.

    One that looks at ``request.user`` afterwards finds a user that needs no session.
    """
    request.user = AnonymousUser()
    if hasattr(request, "session"):
        del request.session
    # CsrfViewMiddleware would set its cookie, or look for the session that is gone.
    request.META.pop("CSRF_COOKIE_NEEDS_UPDATE", None)


def _answer(login: Login | None) -> dict[str, Any]:
    answer: dict[str, Any] = {"v": VERSION, "user": None, "groups": [], "expires_at": None}
    if login is not None:
        answer["user"] = login.user._meta.pk.value_to_string(login.user)
        answer["groups"] = _groups(login.user)
        answer["expires_at"] = login.expires_at
    answer["lease"] = None
    answer["frames"] = _frames(login.user) if login is not None else []
    return answer


def _groups(user: Any) -> list[str]:
    named = conf.function("GROUPS")
    if named is not None:
        return [str(name) for name in _list("GROUPS", named(user))]
    groups: Any = getattr(user, "groups", None)
    # A custom user model may call something else "groups", or its groups have no names.
    fields = groups.model._meta.concrete_fields if hasattr(groups, "values_list") else ()
    if "name" not in {field.name for field in fields}:
        return []
    return list(groups.order_by("name").values_list("name", flat=True))


def _frames(user: Any) -> list[Any]:
    made = conf.function("INITIAL_FRAMES")
    return _list("INITIAL_FRAMES", made(user)) if made is not None else []


def _list(key: str, said: Any) -> list[Any]:
    if said is None:
        return []
    if isinstance(said, str | bytes | dict):
        raise ImproperlyConfigured(
            f"GATEPOST[{key!r}] must return a list, not {type(said).__name__}"
        )
    return list(said)


def _verify(request: HttpRequest) -> None:
    header = request.headers.get(signature.HEADER)
    if header is not None:
        parts = signature.Parts(
            method=request.method,
            target=_target(request),
            host=request.META.get("HTTP_HOST", ""),
            forwarded_for=request.META.get("HTTP_X_FORWARDED_FOR", ""),
            forwarded_proto=request.META.get("HTTP_X_FORWARDED_PROTO", ""),
            body_hash=signature.hash_body(request.body),
        )
        signature.verify(header, parts, conf.secrets(), now=int(time.time()))
    elif not (settings.DEBUG and _is_loopback(request.META.get("REMOTE_ADDR", ""))):
        raise signature.SignatureError(
            f"The header {signature.HEADER} is missing. Only the gateway may ask here: set the"
            " same GATEPOST_SECRET for the gateway and for Django. (Without a signature this view"
            " answers only with DEBUG on, and only to this machine.)"
        )


def _target(request: HttpRequest) -> str:
    """Return path and query as they were on the request line, as well as the server tells."""
    scope = getattr(request, "scope", None)
    if scope is not None:
        query = scope.get("query_string", b"").decode("latin-1")
        known = scope.get("raw_path")
        path = known.decode("latin-1") if known else quote(scope["path"], _PATH_CHARACTERS)
    else:
        # gunicorn and uWSGI keep the request line; wsgiref, and so runserver, does not.
        raw = request.META.get("RAW_URI") or request.META.get("REQUEST_URI")
        if raw:
            return str(raw)
        query = request.META.get("QUERY_STRING", "")
        path = quote(request.path, _PATH_CHARACTERS)
    return f"{path}?{query}" if query else path


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
