"""The real gateway in front of Django's live server.

``LiveGatewayTestCase`` and the fixture ``live_gateway`` run it. Everything it writes
(configuration, secret, certificates) is in a folder that goes with it, and all its ports are free
ones. While it runs ``settings.GATEPOST`` names it, so that ``notify`` in the test as well as in the
live server reaches it, after the commit; the transactional outbox is passed by, since a test that
empties the database between its tests is what a gateway takes for a restored one.
"""

import atexit
import json
import os
import secrets
import ssl
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.test import override_settings
from django.urls import NoReverseMatch, reverse

from gatepost import conf
from gatepost.backends import http
from gatepost.program import binary, gateway_toml
from gatepost.testing.sockets import LiveSocket, Place

#: How long, in seconds, the gateway may take to start, and to stop.
PATIENCE = 30.0

#: Its drain is short, so that sockets which a test forgot do not hold the tests up; and a test asks
#: more often than a browser whether a frame has come.
_CONFIGURATION = """\
[server]
https = "127.0.0.1:0"
http = ""
hosts = ["localhost"]
lan = false
internal = "127.0.0.1:0"

[django]
upstream = {upstream}
session_cookie = {cookie}
secret_file = "secret"

[auth]
url = {auth}

[limits]
message_rate = "1000/s"
drain_timeout = "2s"
drain_spread = "0s"

[log]
format = "json"
"""

_SOCKET = """
[[sockets]]
path = {path}
"""

#: What else may be said of a socket route, and matters to a test.
_OF_SOCKETS = ("view", "anonymous", "presence")


class LiveGatewayError(Exception):
    """The gateway did not start; says why, and what to do."""


class LiveGateway:
    """A gateway in front of a Django at ``django_url``, from ``start()`` to ``stop()``.

    ``sockets`` are the paths of the socket routes, or what is said of each:
    ``{"path": "/ws/orders/{pk}/", "view": True}``; without them, those of the project's
    gateway.toml. ``environment`` sets further keys, such as ``GATEPOST_LIMITS__MESSAGE_RATE``.
    """

    def __init__(
        self,
        django_url: str,
        *,
        sockets: Sequence[str | Mapping[str, Any]] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._django = django_url
        named: Sequence[Any] = sockets or gateway_toml.socket_routes()
        routes = named or [gateway_toml.SOCKET]
        self._routes = [{"path": one} if isinstance(one, str) else dict(one) for one in routes]
        self.sockets = [str(route["path"]) for route in self._routes]
        self._environment = dict(environment or {})
        self._process: _Process | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._override: Any = None
        self._opened: list[LiveSocket] = []
        self._log = ""

    def start(self) -> "LiveGateway":
        """Start it, and let Django's settings name it."""
        configuration = self._configuration()
        self._folder = tempfile.TemporaryDirectory(prefix="gatepost-")
        folder = Path(self._folder.name)
        secret = secrets.token_hex(32)
        _write_private(folder / "secret", secret)
        (folder / "gateway.toml").write_text(configuration, encoding="utf-8")
        try:
            self._process = _Process(folder, self._environment)
            ready = self._process.wait_until_ready()
        except BaseException:
            self.stop()
            raise
        self.url = str(ready["url"]).rstrip("/")
        self.internal_url = f"http://{ready['internal']}"
        #: The certificate of the local CA, for clients of other kinds.
        self.ca_file = Path(ready["ca"])
        self._override = override_settings(GATEPOST=self._settings(secret))
        self._override.enable()
        return self

    def stop(self) -> None:
        """Stop it, close the test's sockets, and take back the settings."""
        if self._override is not None:
            self._override.disable()
            self._override = None
        self.close_sockets()
        if self._process is not None:
            self._process.stop()
            self._log = self._process.log()
            self._process = None
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def connect(
        self,
        path: str | None = None,
        *,
        client: Any = None,
        cookies: Mapping[str, str] | None = None,
    ) -> LiveSocket:
        """Open a WebSocket, with the cookies of a Django test client, or those given.

        Without a path it is the first of ``sockets``. Without a login the socket is closed with
        4001: see ``LiveSocket.closed()``.
        """
        sent = {name: morsel.value for name, morsel in client.cookies.items()} if client else {}
        url = self.socket_url(path)
        place = Place(url, self.url, self.ssl_context(), {**sent, **(cookies or {})})
        socket = LiveSocket(place)
        self._opened.append(socket)
        return socket

    def socket_url(self, path: str | None = None) -> str:
        """Return the ``wss://`` URL of a socket route."""
        return f"wss://{urlsplit(self.url).netloc}{path or self.sockets[0]}"

    def ssl_context(self) -> ssl.SSLContext:
        """Return what a Python client needs to believe the gateway's certificate."""
        return ssl.create_default_context(cafile=str(self.ca_file))

    def close_sockets(self) -> None:
        """Close what ``connect()`` has opened, so that no test sees another one's sockets."""
        while self._opened:
            self._opened.pop().close()

    @property
    def log(self) -> str:
        """Return what the gateway has logged."""
        return self._process.log() if self._process is not None else self._log

    def __enter__(self) -> "LiveGateway":
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _configuration(self) -> str:
        try:
            auth = reverse("gatepost:auth")
        except NoReverseMatch:
            raise LiveGatewayError(
                'the gateway has no view to ask who is logged in: add path("_gatepost/",'
                ' include("gatepost.urls")) to your urls.py'
            ) from None
        said = _CONFIGURATION.format(
            upstream=_quoted(_address(self._django)),
            cookie=_quoted(settings.SESSION_COOKIE_NAME),
            auth=_quoted(auth),
        )
        return said + "".join(map(_socket, self._routes))

    def _settings(self, secret: str) -> dict[str, Any]:
        ours = {"URL": self.internal_url, "SECRET": secret, "BACKEND": http.Backend}
        return {**conf.declared(), **ours}


class _Process:
    """The gateway's process, of which every line is kept."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        try:
            program = binary.find()
        except binary.BinaryMissingError as error:
            raise LiveGatewayError(str(error)) from error
        # What is set for another gateway must not change this one.
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith("GATEPOST_")
        }
        self._popen = subprocess.Popen(  # noqa: S603 - the program is ours
            [program, "run", "--config", folder / "gateway.toml"],
            cwd=folder,
            env={**inherited, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
        )
        self._lines: list[str] = []
        self._ready: dict[str, Any] = {}
        self._started = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        # A test that forgets to stop it must not leave it behind.
        atexit.register(self.stop)

    def wait_until_ready(self) -> dict[str, Any]:
        """Return what it says when it listens."""
        in_time = self._started.wait(PATIENCE)
        if self._ready:
            return self._ready
        why = "ended at once" if in_time else f"was not ready within {PATIENCE:g} s"
        raise LiveGatewayError(f"the gateway {why}. It said:\n{self.log()}")

    def log(self) -> str:
        """Return its output, readable."""
        return "\n".join(map(_readable, list(self._lines)))

    def stop(self) -> None:
        """End it, by its own id, and wait for it."""
        atexit.unregister(self.stop)
        self._popen.terminate()
        try:
            self._popen.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()
        self._reader.join()
        if self._popen.stdout:
            self._popen.stdout.close()

    def _read(self) -> None:
        for line in self._popen.stdout or ():
            self._lines.append(line.rstrip("\n"))
            if not self._started.is_set() and (said := _decoded(line)).get("message") == "ready":
                self._ready = said
                self._started.set()
        self._started.set()


def _write_private(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
        file.write(text)


def _address(url: str) -> str:
    """Return a live server's URL with the address that it listens at, which is IPv4."""
    parts = urlsplit(url)
    host = "127.0.0.1" if parts.hostname == "localhost" else parts.hostname
    return f"{parts.scheme}://{host}:{parts.port}"


def _socket(route: Mapping[str, Any]) -> str:
    said = [f"{name} = true\n" for name in _OF_SOCKETS if route.get(name) is True]
    return _SOCKET.format(path=_quoted(str(route["path"]))) + "".join(said)


def _quoted(text: str) -> str:
    return json.dumps(text)  # A JSON string without control characters is one of TOML, too.


def _decoded(line: str) -> dict[str, Any]:
    try:
        said = json.loads(line)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _readable(line: str) -> str:
    said = _decoded(line)
    if not said:
        return line
    time, level, message = (said.pop(name, "") for name in ("timestamp", "level", "message"))
    said.pop("target", None)
    fields = " ".join(f"{name}={value}" for name, value in said.items())
    return f"{time} {level} {message} {fields}".rstrip()
