"""Answers at Django's port while Django does not start, with what it wrote last.

``runserver`` has it take the port and leave it. It answers 503, which the gateway takes for an
outage, so that sockets stay open and no session is judged by it.
"""

import contextlib
import json
import re
import socket
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from django.conf import settings
from django.utils.html import escape

from gatepost.devserver import ports

#: How many lines of what Django wrote are shown.
_LINES = 30

#: How much of a request's body is read, so that the answer is not lost in a reset, in bytes.
_MOST_BODY = 1024 * 1024

_ESCAPES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")

_DETAIL = "runserver is running, but Django does not start."
_REMEDY = "It is tried again when a file is saved, and this page loads itself again."

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Django does not start</title>
<meta name="viewport" content="width=device-width,initial-scale=1"><style>
:root{{color-scheme:light dark}}body{{max-width:60rem;margin:2rem auto;padding:0 1rem;
font:16px/1.6 system-ui,sans-serif}}h1{{font-size:1.5rem;border-top:4px solid #c2410c;
padding-top:1rem}}pre{{padding:1rem;overflow:auto;border:1px solid #8886;border-radius:6px;
font:14px/1.5 ui-monospace,monospace}}</style></head>
<body><h1>{detail}</h1><pre>{written}</pre><p>{remedy}</p><script>
const again=async()=>{{try{{const r=await fetch(location.href,{{method:"HEAD",cache:"no-store"}});
if(r.status!==503)return location.reload()}}catch{{}}setTimeout(again,1000)}};
setTimeout(again,1000)</script></body></html>
"""


class StandIn:
    """A server that is there only between :meth:`take` and :meth:`leave`."""

    def __init__(self, address: str) -> None:
        self._host, self._port = ports.split(ports.reachable(address))
        self._lock = threading.Lock()
        self._server: _Server | None = None

    def take(self, written: bytes) -> bool:
        """Answer with what Django has written; return False where something else listens."""
        with self._lock:
            if self._server is None:
                try:
                    self._server = _Server(self._host, self._port)
                except OSError:
                    return False
            self._server.written = _readable(written)
        return True

    def leave(self) -> None:
        """Free the port."""
        with self._lock:
            if self._server is not None:
                self._server.end()
            self._server = None


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, host: str, port: int) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.written = ""
        super().__init__((host, port), _Handler)
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def end(self) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Pass over clients that have left."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = 5

    def _answer(self) -> None:
        with contextlib.suppress(ValueError):
            self.rfile.read(min(int(self.headers.get("Content-Length") or 0), _MOST_BODY))
        as_page = "text/html" in self.headers.get("Accept", "")
        text = _page(self.server.written) if as_page else _problem(self.server.written)
        body = text.encode()
        self.send_response_only(HTTPStatus.SERVICE_UNAVAILABLE)
        kind = "text/html; charset=utf-8" if as_page else "application/problem+json"
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Retry-After", "1")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _answer  # noqa: N815


def _page(written: str) -> str:
    return _PAGE.format(detail=_DETAIL, written=escape(written), remedy=_REMEDY)


def _problem(written: str) -> str:
    said = {
        "type": "about:blank",
        "title": "Service Unavailable",
        "status": 503,
        "code": "django_does_not_start",
        "detail": _DETAIL,
        "hint": written,
    }
    return json.dumps(said, ensure_ascii=False)


def _readable(written: bytes) -> str:
    """Return the last lines; without DEBUG only where they are."""
    if not settings.DEBUG:
        return "The terminal says why."
    text = _ESCAPES.sub("", written.decode(errors="replace")).replace("\r\n", "\n")
    return "\n".join(text.rstrip().splitlines()[-_LINES:])
