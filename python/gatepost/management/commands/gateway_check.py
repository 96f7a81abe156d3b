"""``manage.py gateway_check``: the settings, and both directions between Django and the gateway."""

import secrets
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core import checks
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from gatepost import running
from gatepost.answering import logins, resolving
from gatepost.program import binary, gateway_toml, probe, security_headers
from gatepost.sending import client

SETTINGS, UNREACHABLE, SECRET, AUTH = 1, 2, 3, 4

#: How long the gateway may take to ask Django and to answer, in seconds.
_PATIENCE = 20.0

#: A path that only tells whether the secret is right: no user has this id.
_ASKS_FOR_NOBODY = "/v1/connections?user=-"

_NOT_LOGGED_IN = 4001
_TRY_LATER = 1013

#: The reason of that close is the same whatever keeps Django from answering.
_LOG = (
    "The gateway's log says which. A view that fails (500) has its traceback in Django's log: is"
    " everything migrated?"
)

_MIGRATE = "Run `manage.py migrate`; `manage.py showmigrations` lists what is missing."

_UNKNOWN_SESSION = "gatewaycheckasksaboutnosession00"


class Command(BaseCommand):
    """Says of each thing whether it is fine, and goes on as far as it can."""

    help = (
        "Checks the settings, whether Django reaches the gateway and has its secret, and whether"
        " the gateway reaches Django's auth view. Exit codes: 0 all is fine, 1 the settings are"
        " wrong, 2 a gateway cannot be reached, 3 it has another secret, 4 it gets no answer from"
        " Django."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Take where the gateway serves."""
        parser.add_argument(
            "--url",
            help="of a socket route, such as https://localhost:8443/ws/notifications/ (default:"
            " what gateway.toml amounts to)",
        )
        parser.add_argument("--ca", type=Path, help="the certificate authority to believe in")
        parser.add_argument("--deploy", action="store_true", help="with the checks for deployment")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run all, and end with the code of the first thing that is wrong."""
        codes = [self._settings(deploy=options["deploy"]), self._sessions()]
        if stale := running.left_behind():
            self._left(f"{stale}: the rungateway that wrote it has ended, so it is not believed")
        codes += [self._gateway(url) for url in client.urls()]
        if not any(codes[1:]):
            codes.append(self._way_back(options["url"], options["ca"]))
        wrong = [code for code in codes if code]
        if wrong:
            raise CommandError("Not everything is fine.", returncode=wrong[0])

    def _settings(self, *, deploy: bool) -> int:
        found = [
            *checks.run_checks(include_deployment_checks=deploy),
            *security_headers.compare(),
        ]
        messages = [message for message in found if not message.is_silenced()]
        ours = [message for message in messages if str(message.id).startswith("gatepost.")]
        for message in ours:
            say = self._wrong if message.is_serious() else self._warn
            say(f"{message.id}: {message.msg}", message.hint)
        self._others([message for message in messages if message not in ours])
        if not messages:
            self._fine("the settings")
        return SETTINGS if any(message.is_serious() for message in messages) else 0

    def _others(self, messages: list[checks.CheckMessage]) -> None:
        """Say that there is more, which concerns other apps."""
        errors = sum(message.is_serious() for message in messages)
        warnings = len(messages) - errors
        if errors:
            what = "1 error is" if errors == 1 else f"{errors} errors are"
            self._wrong(f"{what} of other apps.", "See `manage.py check`.")
        if warnings:
            what = "1 warning is" if warnings == 1 else f"{warnings} warnings are"
            self._warn(f"{what} of other apps.", "See `manage.py check`.")

    def _sessions(self) -> int:
        """Look up a session as the auth view does: for one that fails the gateway waits long."""
        if not resolving.is_by_session():
            return 0
        try:
            logins.find_login(_UNKNOWN_SESSION)
        except Exception as error:
            hint = _MIGRATE if isinstance(error, DatabaseError) else None
            self._wrong(f"Django cannot read sessions: {type(error).__name__}: {error}.", hint)
            return AUTH
        return 0

    def _gateway(self, url: str) -> int:
        """Ask what anybody may ask, then what only Django may."""
        try:
            client.get("/live", url=url)
        except client.GatewayError as error:
            self._wrong(str(error))
            return UNREACHABLE
        self._fine(f"Django reaches the gateway at {url}")
        try:
            client.get(_ASKS_FOR_NOBODY, url=url)
        except client.GatewayError as error:
            self._wrong(str(error))
            return SECRET
        self._fine("both have the same secret")
        return 0

    def _way_back(self, url: str | None, ca: Path | None) -> int:
        """Let the gateway judge a session that does not exist, for which it must ask Django."""
        known = _Public.of_project()
        if known is not None:
            url, ca = url or known.url, ca or known.ca
        if not url:
            self._left("the way back: name the gateway's socket route with --url")
            return 0
        cookie = f"{settings.SESSION_COOKIE_NAME}={secrets.token_hex(16)}"
        try:
            close = probe.handshake(url, cookie, ca=ca, timeout=_PATIENCE)
        except ssl.SSLCertVerificationError as error:
            self._wrong(
                f"The certificate at {url} is not believed: {error.verify_message}.", "--ca"
            )
            return UNREACHABLE
        except (OSError, probe.ProbeError) as error:
            self._wrong(f"No WebSocket at {url}: {error}.", "See `gatepost check`.")
            return UNREACHABLE
        if close.code != _NOT_LOGGED_IN:
            what, hint = "gets no answer from the auth view", None
            if close.code == _TRY_LATER:
                what, hint = "gets no judgement", _LOG
            self._wrong(f"The gateway {what}: {close.reason} ({close.code}).", hint)
            return AUTH
        self._fine(f"the gateway at {url} asks Django who a session is")
        return 0

    def _fine(self, what: str) -> None:
        self.stdout.write(f"{self.style.SUCCESS('fine ')}  {what}")

    def _left(self, what: str) -> None:
        self.stdout.write(f"{self.style.WARNING('left ')}  {what}")

    def _warn(self, what: str, hint: str | None = None) -> None:
        self.stdout.write(f"{self.style.WARNING('warn ')}  {what}")
        if hint:
            self.stdout.write(f"       {hint}")

    def _wrong(self, what: str, hint: str | None = None) -> None:
        self.stdout.write(f"{self.style.ERROR('wrong')}  {what}")
        if hint:
            self.stdout.write(f"       {hint}")


@dataclass(frozen=True)
class _Public:
    """Where the project's gateway serves."""

    url: str
    ca: Path | None

    @classmethod
    def of_project(cls) -> "_Public | None":
        """Return what the gateway's own binary says of the gateway.toml that is in force."""
        run, config = running.find(), gateway_toml.in_force()
        try:
            changed = run.environment if run else {}
            rows = gateway_toml.effective(binary.find(), config, changed) if config else {}
        except (binary.BinaryMissingError, gateway_toml.RefusedError):
            return None
        socket = next((path for path in rows if rows[path].startswith("WebSocket, sessions")), None)
        if config is None or socket is None:
            return None
        if run is not None:
            return cls(f"{run.url.rstrip('/')}{socket}", run.ca)
        host = next((name for name in rows["hosts"].split(", ") if name[0] != "*"), None)
        if host is None:
            return None
        port = rows["https"].partition(", ")[0].rpartition(":")[2]
        if not port.isdigit():
            # A proxy in front ends TLS, with a certificate of its own.
            return cls(f"https://{host}{socket}", None)
        ca = config.parent / "certs" / "ca.pem"
        return cls(f"https://{host}:{port}{socket}", ca if ca.is_file() else None)
