"""``notify`` and ``revoke``: what a project calls.

Frames are encoded where ``notify`` is called, so a later change of the object, or a mistake, is
the caller's own line; they leave after the commit. The surprise: every publication gets an id,
because only then may a call be repeated over a connection that broke.
"""

import json
import logging
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder

from gatepost import client, conf
from gatepost.commit import after_commit
from gatepost.targets import Connection, Session, audience

logger = logging.getLogger("gatepost")

#: The close code that means "go and log in".
NOT_LOGGED_IN = 4001

#: How many bytes the reason of a close frame may have (RFC 6455, 5.5).
LONGEST_REASON = 123

#: The gateway takes so many users in a publication, and more bytes and lines than these in a call.
MOST_USERS = 10_000
LARGEST_BODY = 4 * 1024 * 1024
MOST_LINES = 10_000

#: A year, in seconds: a gateway keeps nothing for longer.
LONGEST_TTL = 365 * 86400

_DURATION = re.compile(r"[0-9]{1,9}(ms|s|m|h|d)", re.ASCII)


@dataclass(frozen=True)
class _Publication:
    line: bytes


@dataclass(frozen=True)
class _Revocation:
    body: bytes


def notify(  # noqa: PLR0913 - the options of a publication, all by keyword
    target: Any,
    frame: Any,
    *,
    exclude: str | Connection | None = None,
    ttl: float | str | timedelta | None = None,
    key: str | None = None,
    id: str | None = None,
    socket: str | None = None,
) -> None:
    """Send a frame to the open sockets of a target, after the transaction commits.

    ``target`` is a user, a primary key, an iterable or a queryset of those, ``Group("staff")``,
    ``Session(request)``, ``Connection(id)`` or ``Everyone``. ``frame`` is what JSON can say (dates,
    UUIDs, decimals and lazy texts included). ``exclude`` is a connection that does not get it;
    after ``ttl`` seconds nobody wants it any more; of one ``key`` a slow client gets only the
    newest; one ``id`` is taken once in five minutes; ``socket`` is the one path that gets it.

    A gateway that cannot be reached is logged, never raised. What is no target or no JSON raises
    TypeError or ValueError at once.
    """
    options = {
        "id": str(id) if id is not None else uuid.uuid4().hex,
        "ttl": _duration(ttl),
        "key": key,
        "exclude": exclude.id if isinstance(exclude, Connection) else exclude,
        "socket": socket,
    }
    encoded = _encode(frame)
    to = _audience(target)
    if to is None:
        return
    said = {name: value for name, value in options.items() if value is not None}
    for part in _parts(to, said):
        # The gateway passes on the frame's own bytes, so they are put in as they are.
        line = f'{_encode(part)[:-1]},"frame":{encoded}}}'
        after_commit(_Publication(line.encode()), _send)


def revoke(target: Any, *, code: int = NOT_LOGGED_IN, reason: str = "session ended") -> None:
    """Close the sockets of a user, of several, or of one ``Session``, after the commit."""
    for revocation in _revocations(target, code, reason):
        after_commit(revocation, _send)


def revoke_now(session: Session, *, reason: str) -> None:
    """Close a session's sockets without waiting for a commit, as a logout must."""
    _send(list(_revocations(session, NOT_LOGGED_IN, reason)))


def _parts(to: dict[str, Any], said: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the publications that one is: several where the gateway would refuse so many users."""
    users = to.get("users", [])
    if len(users) <= MOST_USERS:
        yield {"to": to, **said}
        return
    for number, start in enumerate(range(0, len(users), MOST_USERS)):
        part = {"users": users[start : start + MOST_USERS]}
        yield {"to": part, **said, "id": f"{said['id']}.{number}"}


def _revocations(target: Any, code: int, reason: str) -> Iterator[_Revocation]:
    if len(reason.encode()) > LONGEST_REASON:
        raise ValueError(f"a close reason has at most {LONGEST_REASON} bytes: {reason!r}")
    to = _audience(target)
    if to is None:
        return
    users = to.get("users")
    for one in [{"user": user} for user in users] if users else [to]:
        if not one.keys() <= {"user", "session"}:
            raise TypeError("revoke() takes a user, users or a Session")
        yield _Revocation(_encode({**one, "code": code, "reason": reason}).encode())


def _audience(target: Any) -> dict[str, Any] | None:
    try:
        return audience(target)
    except conf.SecretMissingError as error:
        logger.error("nothing sent to the gateway: %s", error)
        return None


def _send(calls: list[_Publication | _Revocation]) -> None:
    """Make the calls in their order; neighbouring publications share one."""
    for kind, run in groupby(calls, type):
        if kind is _Publication:
            for lines in _bodies([call.line for call in run if isinstance(call, _Publication)]):
                _publish(lines)
        else:
            for call in run:
                if isinstance(call, _Revocation):
                    _revoke(call.body)


def _bodies(lines: list[bytes]) -> Iterator[list[bytes]]:
    """Yield the lines in as few calls as the gateway takes them: nearly always in one."""
    body: list[bytes] = []
    size = 0
    for line in lines:
        if body and (size + len(line) > LARGEST_BODY or len(body) == MOST_LINES):
            yield body
            body, size = [], 0
        body.append(line)
        size += len(line)
    yield body


def _publish(lines: list[bytes]) -> None:
    body = b"\n".join(lines) + b"\n"
    answer = client.post("/v1/publish", body, content_type="application/x-ndjson")
    if answer is None or not _accepted(answer, "publish"):
        return
    for number, line in enumerate(answer.body.splitlines(), start=1):
        error = _decode(line).get("error")
        if isinstance(error, dict):
            logger.warning("the gateway refused publication %d: %s", number, _problem(error))


def _revoke(body: bytes) -> None:
    answer = client.post("/v1/revoke", body, content_type="application/json")
    if answer is not None:
        _accepted(answer, "revoke")


def _accepted(answer: client.Answer, what: str) -> bool:
    if 200 <= answer.status < 300:
        return True
    hint = ""
    if answer.status in (401, 403):
        hint = " Gateway and Django must have the same secret (GATEPOST_SECRET on both sides)."
    elif answer.status in (308, 404, 421):
        hint = " GATEPOST['URL'] must be the address of `internal` in gateway.toml, not the site's."
    logger.error(
        "the gateway refused to %s (%d): %s.%s",
        what,
        answer.status,
        _problem(_decode(answer.body)),
        hint,
    )
    return False


def _problem(said: dict[str, Any]) -> str:
    return str(said.get("detail") or said.get("title") or "no reason given").rstrip(".")


def _decode(text: bytes) -> dict[str, Any]:
    try:
        said = json.loads(text)
    except ValueError:
        said = None
    return said if isinstance(said, dict) else {}


def _encode(said: Any) -> str:
    # NaN and Infinity are not JSON: the gateway would refuse them later, far from the mistake.
    return json.dumps(said, cls=DjangoJSONEncoder, separators=(",", ":"), allow_nan=False)


def _duration(ttl: float | str | timedelta | None) -> str | None:
    """Return a time as the gateway reads it: whole seconds, or else milliseconds."""
    if ttl is None:
        return None
    if isinstance(ttl, str):
        if _DURATION.fullmatch(ttl):
            return ttl
        raise ValueError(f"ttl must be a number, a timedelta or like '60s', not {ttl!r}")
    seconds = ttl.total_seconds() if isinstance(ttl, timedelta) else ttl
    if isinstance(seconds, bool) or not 0 < seconds < LONGEST_TTL:
        raise ValueError(f"ttl must be above 0 seconds and below a year, not {ttl!r}")
    if seconds == int(seconds):
        return f"{int(seconds)}s"
    return f"{max(round(seconds * 1000), 1)}ms"
