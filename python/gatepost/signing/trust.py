"""Whether a request came from the gateway: its ``Gatepost-Signature``.

``middleware`` asks about every request, ``gateway_view`` about the gateway's own. The surprise:
WSGI and ASGI servers differ in what they hand on of a request. The signature covers the target as
it was on the request line, which not every server keeps: where quoting the decoded path would not
restore it, the gateway sends it in ``Gatepost-Target``. Servers also act upon ``X-Forwarded-*`` or
remove them, so address and scheme come in fields that no server knows.
"""

import re
import time
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest
from django.http.request import RawPostDataException, UnreadablePostError
from django.utils.encoding import repercent_broken_unicode

from gatepost import conf
from gatepost.signing import signature

#: What may stand in a path as it is (RFC 3986, pchar).
_PATH_CHARACTERS = "/:@!$&'()*+,;=~"


def is_signed(request: HttpRequest) -> bool:
    """Return whether a request carries a signature, right or wrong."""
    return signature.HEADER in request.headers


def client(request: HttpRequest) -> tuple[str, str]:
    """Return the client's address and scheme, which are true where the signature holds."""
    meta = request.META
    if "HTTP_GATEPOST_ADDRESS" in meta:
        return meta["HTTP_GATEPOST_ADDRESS"], meta.get("HTTP_GATEPOST_SCHEME", "")
    # A project that signs by hand may have sent these: the signature is the same.
    return meta.get("HTTP_X_FORWARDED_FOR", ""), meta.get("HTTP_X_FORWARDED_PROTO", "")


def verify(request: HttpRequest, body_hash: str) -> None:
    """Raise ``SignatureError`` or ``SecretMissingError`` unless the gateway signed a request."""
    address, scheme = client(request)
    parts = signature.Parts(
        method=str(request.method),
        target=target(request),
        host=request.META.get("HTTP_HOST", ""),
        address=address,
        scheme=scheme,
        body_hash=body_hash,
    )
    header = request.headers[signature.HEADER]
    signature.verify(header, parts, conf.secrets(), now=int(time.time()))


def is_proxied(request: HttpRequest) -> bool:
    """Return True for a request that the gateway passed on, False for a question of its own.

    Raises where the signature is neither's. A request that it passes on is signed without its body,
    which streams; its questions have no body, or a small one that is signed.
    """
    try:
        verify(request, signature.STREAMED)
        return True
    except signature.ClockError:
        raise
    except signature.SignatureError:
        body = _body_of_question(request)
        if body is None:
            raise
    verify(request, signature.hash_body(body))
    return False


def _body_of_question(request: HttpRequest) -> bytes | None:
    """Return the body of what may be a question of the gateway; None where it cannot be one.

    A body of another type is left to the view, which may want to read it in pieces. The type of a
    request without a body says nothing: wsgiref calls it text/plain.
    """
    length = request.META.get("CONTENT_LENGTH")
    if length in (None, "", "0", 0) and "HTTP_TRANSFER_ENCODING" not in request.META:
        return b""
    if request.content_type != "application/json":
        return None
    try:
        return request.body
    except (RequestDataTooBig, RawPostDataException, UnreadablePostError):
        return None


def target(request: HttpRequest) -> str:
    """Return path and query as they were on the request line, as well as the server tells."""
    told = request.META.get("HTTP_GATEPOST_TARGET")
    path = _decoded_path(request)
    query: str = request.META.get("QUERY_STRING", "")
    if told is not None and _is_target_of(str(told), path, query):
        return str(told)
    known = _kept_by_server(request)
    if known is not None:
        return known
    quoted = quote(path, _PATH_CHARACTERS, errors="replace")
    return f"{quoted}?{query}" if query else quoted


def _kept_by_server(request: HttpRequest) -> str | None:
    """Return the target from a server that keeps it: gunicorn, uWSGI, and those of ASGI.

    Those of ASGI keep no `?` without a query behind it.
    """
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


def _is_target_of(told: str, path: str, query: str) -> bool:
    """Return whether Django sees a target as this, so that it cannot stand for another one."""
    told_path, _, told_query = told.partition("?")
    if told_query != query:
        return False
    sent = unquote_to_bytes(told_path)
    # Python's own server and waitress take away slashes at the beginning.
    spellings = (sent, re.sub(rb"\A/+", b"/", sent))
    # What is not UTF-8 is quoted by Django, and U+FFFD by the servers of ASGI.
    return any(
        path in (repercent_broken_unicode(spelling).decode(), spelling.decode(errors="replace"))
        for spelling in spellings
    )
