"""Makes the calls at the gateway's internal listener: the backend where none is named.

``GATEPOST["URL"]`` may name several gateways, and each is told everything. The ids of the
publications let gateways that share a broker take each one once.
"""

import logging
from collections.abc import Iterator, Sequence
from itertools import groupby

from gatepost import conf
from gatepost.backends import Backend as Base
from gatepost.sending import client, process
from gatepost.sending.calls import Call, Publication, Recheck, Revocation

logger = logging.getLogger("gatepost")

#: The gateway takes at most so many bytes and lines in a call.
LARGEST_BODY = 4 * 1024 * 1024
MOST_LINES = 10_000

_Request = tuple[str, str, bytes]

_NDJSON = "application/x-ndjson"
_JSON = "application/json"


class Backend(Base):
    """``"BACKEND": "gatepost.backends.http.Backend"``, which need not be said."""

    rides = True

    def send(self, calls: Sequence[Call]) -> None:
        """Make the calls in their order; neighbouring publications share one."""
        failure = deliver(calls)
        if failure is not None and not conf.value("FAIL_SILENTLY"):
            raise failure


def deliver(calls: Sequence[Call]) -> client.GatewayError | None:
    """Make the calls at every gateway; log what fails, and return the first failure."""
    failure: client.GatewayError | None = None
    for url in client.urls():
        for request in _requests(calls):
            try:
                _make(request, url)
                _said.discard(url)
            except client.GatewayError as error:
                _log(error, request, url)
                failure = failure or error
    return failure


#: The gateways whose outage was said, by a warning at least.
_said: set[str] = set()


def _log(error: client.GatewayError, request: _Request, url: str) -> None:
    """Log a failure: softly where nothing is lost, and never so softly that a loss is silent.

    A command that changes users while no gateway runs has no sockets to close: on a fresh machine,
    in a migration, in a script. What it publishes is lost all the same.
    """
    level = error.level
    publishes = request[0] == "/v1/publish"
    if not publishes and not process.serves_requests() and client.never_ran(url, error):
        level = logging.INFO
    if publishes and isinstance(error, client.SkippedError) and url not in _said:
        level = logging.WARNING
    if level >= logging.WARNING:
        _said.add(url)
    logger.log(level, "%s", error)


def _requests(calls: Sequence[Call]) -> Iterator[_Request]:
    for kind, several in groupby(calls, _kind):
        run = list(several)
        together = _users_together(run) if kind is Recheck else run
        lines = [call.json().encode() for call in together]
        if kind is Publication:
            for body in _bodies(lines):
                yield "/v1/publish", _NDJSON, body
        else:
            path = "/v1/revoke" if kind is Revocation else "/v1/recheck"
            for line in lines:
                yield path, _JSON, line


def _kind(call: Call) -> type:
    """Return what a call is made as: one about a topic is a revocation like any other."""
    return Revocation if isinstance(call, Revocation) else type(call)


def _users_together(rechecks: Sequence[Call]) -> Iterator[Recheck]:
    """Yield rechecks with those of single users in as few calls as the gateway takes them."""
    users: dict[str, None] = {}
    for one in rechecks:
        if isinstance(one, Recheck) and one.who.keys() == {"user"}:
            users[one.who["user"]] = None
        elif isinstance(one, Recheck):
            yield one
    named = list(users)
    for start in range(0, len(named), MOST_LINES):
        some = named[start : start + MOST_LINES]
        yield Recheck({"user": some[0]} if len(some) == 1 else {"users": some})


def _bodies(lines: list[bytes]) -> Iterator[bytes]:
    """Yield the lines in as few calls as the gateway takes them: nearly always in one."""
    body: list[bytes] = []
    size = 0
    for line in lines:
        if body and (size + len(line) > LARGEST_BODY or len(body) == MOST_LINES):
            yield b"\n".join(body) + b"\n"
            body, size = [], 0
        body.append(line)
        size += len(line)
    yield b"\n".join(body) + b"\n"


def _make(request: _Request, url: str) -> None:
    path, content_type, body = request
    # For a recheck the gateway calls Django, which may have no worker but this one.
    wait = path != "/v1/recheck"
    answer = client.post(path, body, content_type=content_type, url=url, wait=wait)
    if path != "/v1/publish":
        return
    for number, line in enumerate(answer.body.splitlines(), start=1):
        error = client.decode(line).get("error")
        if isinstance(error, dict):
            logger.warning("the gateway refused publication %d: %s", number, client.problem(error))
