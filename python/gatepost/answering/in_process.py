"""Asks a path of the project without a connection: through its middlewares, to its view.

``batches`` does so for each pair of a session and a path. The request is made as the gateway would
send it, signature included, and goes the way of every other one.
"""

import json
import logging
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from io import BytesIO
from typing import Any
from urllib.parse import unquote_to_bytes

from django.conf import settings
from django.core.handlers.base import BaseHandler
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpRequest
from django.urls import get_urlconf, set_urlconf
from django.utils import timezone, translation

from gatepost import conf
from gatepost.answering import questions
from gatepost.answering.answers import VERSION
from gatepost.signing import signature

logger = logging.getLogger("gatepost")

#: A path with its query as on a request line.
_PATH = re.compile(r"/[!-~]{0,8191}", re.ASCII)

#: What is taken from the batch's own request: the gateway says the same with each of its questions.
_SAME = ("HTTP_HOST", "SERVER_NAME", "SERVER_PORT", "HTTP_GATEPOST_ADDRESS", "HTTP_X_REQUEST_ID")
_ALSO = ("HTTP_GATEPOST_SCHEME", "HTTP_GATEPOST_POSITION", "HTTP_X_FORWARDED_PROTO", "REMOTE_ADDR")


def is_path(text: str) -> bool:
    """Return whether a text can stand on a request line."""
    return _PATH.fullmatch(text) is not None and "#" not in text


@contextmanager
def asking(request: HttpRequest, *, frames: bool) -> Iterator[Callable[[str, str], Any]]:
    """Give what asks with a cookie and a path, on behalf of a batch's request.

    Afterwards the thread is as it was: a middleware may have chosen a language, or other URLs.
    """
    handler = _handler(tuple(settings.MIDDLEWARE))
    urlconf = get_urlconf()
    with translation.override(translation.get_language()), timezone.override(None):
        try:
            yield lambda cookie, path: _ask(handler, _environment(request, cookie, path, frames))
        finally:
            set_urlconf(urlconf)


@lru_cache(maxsize=4)
def _handler(middleware: tuple[str, ...]) -> BaseHandler:
    """Return the project's way of handling a request, made once."""
    made = BaseHandler()
    made.load_middleware()
    return made


def _ask(handler: BaseHandler, environment: dict[str, Any]) -> Any:
    """Return an auth answer, ``{"status": …}``, or None where the project's code failed."""
    request = WSGIRequest(environment)
    try:
        response = handler.get_response(request)
        request.close()
        if response.status_code == 200:
            said = json.loads(response.content)
            # Asked alone, what is no answer is diagnosed.
            return said if isinstance(said, dict) and said.get("v") == VERSION else None
        return {"status": response.status_code} if response.status_code < 500 else None
    except Exception:
        logger.exception("cannot say who may listen at %s", environment["PATH_INFO"])
        return None


def _environment(request: HttpRequest, cookie: str, target: str, frames: bool) -> dict[str, Any]:
    meta = request.META
    path, _, query = target.partition("?")
    prefix: str = meta.get("SCRIPT_NAME", "")
    decoded = unquote_to_bytes(path).decode("latin-1")
    below = prefix and decoded.startswith(f"{prefix}/")
    return {
        **{name: meta[name] for name in (*_SAME, *_ALSO) if name in meta},
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": prefix if below else "",
        "PATH_INFO": decoded.removeprefix(prefix) if below else decoded,
        "QUERY_STRING": query,
        "RAW_URI": target,
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_ACCEPT": "application/json",
        "HTTP_COOKIE": cookie.encode().decode("latin-1"),
        "HTTP_X_ORIGINAL_URI": target,
        "HTTP_GATEPOST_SIGNATURE": _signature(meta, target),
        questions.FRAMES: frames,
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": BytesIO(),
        "wsgi.errors": meta.get("wsgi.errors"),
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }


def _signature(meta: dict[str, Any], target: str) -> str:
    parts = signature.Parts(
        "GET",
        target,
        host=meta.get("HTTP_HOST", ""),
        address=meta.get("HTTP_GATEPOST_ADDRESS", ""),
        scheme=meta.get("HTTP_GATEPOST_SCHEME", ""),
    )
    return signature.sign(conf.secret(), parts, at=int(time.time()))
