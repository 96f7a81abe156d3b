"""Whether a request came from the gateway: its ``Gatepost-Signature``.

``middleware`` asks it about every request, ``views`` about the gateway's own. The surprise: what is
signed is the target as it was on the request line, which not every server keeps; where quoting the
decoded path would not give it back, the gateway says it in ``Gatepost-Target``.
"""

import time
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest
from django.http.request import RawPostDataException, UnreadablePostError
from django.utils.encoding import repercent_broken_unicode

from gatepost import conf, signature

#: What may stand in a path as it is (RFC 3986, pchar).
_PATH_CHARACTERS = "/:@!$&'()*+,;=~"


def is_signed(request: HttpRequest) -> bool:
    """Return whether a request carries a signature, right or wrong."""
    return signature.HEADER in request.headers


def verify(request: HttpRequest, body_hash: str) -> None:
    """Raise ``SignatureError`` or ``SecretMissingError`` unless the gateway signed a request."""
    parts = signature.Parts(
        method=str(request.method),
        target=_target(request),
        host=request.META.get("HTTP_HOST", ""),
        forwarded_for=request.META.get("HTTP_X_FORWARDED_FOR", ""),
        forwarded_proto=request.META.get("HTTP_X_FORWARDED_PROTO", ""),
        body_hash=body_hash,
    )
    header = request.headers[signature.HEADER]
    signature.verify(header, parts, conf.secrets(), now=int(time.time()))


def is_passed_on(request: HttpRequest) -> bool:
    """Return whether the gateway passed this request on; False: it made it itself. Else raise.

    A request that it passes on is signed without its body, which streams; those it makes have none
    or a small one, which is signed.
    """
    try:
        verify(request, signature.STREAMED)
        return True
    except signature.SignatureError:
        if request.content_type not in (None, "", "application/json"):
            raise
        try:
            body = request.body
        except (RequestDataTooBig, RawPostDataException, UnreadablePostError):
            body = b""
        verify(request, signature.hash_body(body))
        return False


def _target(request: HttpRequest) -> str:
    """Return path and query as they were on the request line, as well as the server tells."""
    told = request.META.get("HTTP_GATEPOST_TARGET")
    path = _decoded_path(request)
    query: str = request.META.get("QUERY_STRING", "")
    if told is not None and _parted(told) == (path, query):
        return str(told)
    known = _kept_by_server(request)
    if known is not None:
        return known
    quoted = quote(path, _PATH_CHARACTERS, errors="replace")
    return f"{quoted}?{query}" if query else quoted


def _kept_by_server(request: HttpRequest) -> str | None:
    """Return the target from a server that keeps it: gunicorn, uWSGI, and those of ASGI."""
    scope: dict[str, Any] | None = getattr(request, "scope", None)
    if scope is None:
        return request.META.get("RAW_URI") or request.META.get("REQUEST_URI") or None
    raw = scope.get("raw_path")
    if not raw:
        return None
    query = scope.get("query_string", b"").decode("latin-1")
    path = raw.decode("latin-1")
    return f"{path}?{query}" if query else path


def _decoded_path(request: HttpRequest) -> str:
    scope: dict[str, Any] | None = getattr(request, "scope", None)
    if scope is not None:
        return str(scope["path"])
    # Where it is forced, Django has overwritten what the server took off (which is nothing).
    prefix: str = "" if settings.FORCE_SCRIPT_NAME else request.META.get("SCRIPT_NAME", "")
    return prefix + str(request.META.get("PATH_INFO", ""))


def _parted(target: str) -> tuple[str, str]:
    """Return a target as Django gets to see it, so that it cannot stand for another one."""
    path, _, query = target.partition("?")
    decoded = unquote_to_bytes(path)
    if decoded.startswith(b"//"):
        decoded = b"/" + decoded.lstrip(b"/")  # As Python's own server does.
    return repercent_broken_unicode(decoded).decode(), query
