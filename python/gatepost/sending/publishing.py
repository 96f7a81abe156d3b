"""``notify`` and ``revoke``: what a project calls.

Frames are encoded where ``notify`` is called, so a later change of the object, or a mistake, is
the caller's own line; they leave after the commit (see ``commit``). Every publication gets an id,
because only then may a call be repeated over a connection that broke.
"""

import logging
import re
import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final, NoReturn

from gatepost import conf
from gatepost.sending import frames
from gatepost.sending.calls import (
    NOT_LOGGED_IN,
    Publication,
    Recheck,
    Revocation,
    TopicRevocation,
)
from gatepost.sending.commit import after_commit, send_outside_transaction
from gatepost.sending.targets import Connection, Session, audience
from gatepost.sending.topics import Topic

logger = logging.getLogger("gatepost")

#: How many bytes the reason of a close frame may have (RFC 6455, 5.5).
LONGEST_REASON = 123

#: The gateway takes so many users in a publication.
MOST_USERS = 10_000

#: A year, in seconds: a gateway keeps nothing for longer.
LONGEST_TTL = 365 * 86400

_DURATION = re.compile(r"[0-9]{1,9}(ms|s|m|h|d)", re.ASCII)


class _Missing:
    def __repr__(self) -> str:
        return "…"


_MISSING: Final = _Missing()

_ENDED = "session ended"


def notify(  # noqa: PLR0913 - the options of a publication, all by keyword
    target: Any,
    frame: Any = _MISSING,
    *,
    text: str | None = None,
    event: str | None = None,
    end: bool = False,
    exclude: Any = None,
    ttl: float | str | timedelta | None = None,
    key: str | None = None,
    id: str | None = None,
    socket: str | None = None,
) -> None:
    """Send a frame to the open sockets of a target, after the transaction commits.

    ``target`` is a user, a primary key, an iterable or a queryset of those, ``Group("staff")``, or
    one of Django's groups, ``Session(request)``, ``Connection(id)``, ``Everyone``, or a topic's
    listeners: ``Topic(order)``. ``frame`` is anything JSON can hold (dates, UUIDs, decimals, lazy
    texts included); ``text`` instead of it is sent as it is: HTML for htmx and Turbo. ``event`` is
    what clients of SSE know it by. With ``end`` the streams that hear it (see ``stream``) end
    behind it, and there may be neither frame nor text. ``exclude`` is a
    connection that does not get it: the request of the sender, or ``Connection(id)``. After ``ttl``
    seconds it is no longer sent. Of the frames with one ``key`` a slow client gets only the newest.
    One ``id`` is taken once in five minutes. ``socket`` is the one path whose sockets get it.

    A gateway that cannot be reached is logged, and raised only where ``FAIL_SILENTLY`` is False.
    What is no target or no JSON, or too large or too deep, raises TypeError or ValueError at once.
    """
    if isinstance(frame, frames.Text):
        text, event = frame.text if text is None else _refuse_both(), event or frame.event
        frame = _MISSING
    encoded = _content(frame, text, end=end)
    options: dict[str, Any] = {
        "text": frames.text(text) if text is not None else None,
        "event": frames.event_name(event) if event is not None else None,
        "end": True if end else None,
        "ttl": _duration(ttl),
        "key": key,
        "exclude": _excluded(exclude),
        "socket": socket,
    }
    to = _audience(target)
    if to is None:
        return
    for part, name in _parts(to, str(id) if id is not None else uuid.uuid4().hex):
        after_commit(Publication(part, encoded, name, **options))


def _content(frame: Any, text: str | None, *, end: bool) -> str | None:
    """Return the frame as it is sent; None where a text is, or nothing at all."""
    if frame is _MISSING:
        if text is None and not end:
            raise TypeError("notify() takes a frame, or text=")
        return None
    if text is not None:
        _refuse_both()
    return frames.frame(frame)


def _refuse_both() -> NoReturn:
    raise TypeError("notify() takes a frame or text=, not both")


def revoke(
    target: Any, *, user: Any = _MISSING, code: int = NOT_LOGGED_IN, reason: str = _ENDED
) -> None:
    """Close the sockets of a user, of several, or of one ``Session``, after the commit.

    ``revoke(Topic(order), user=…)`` ends subscriptions of a user (or of several, and without
    ``user`` of everybody) instead, and every token that was issued before: sockets stay open. A
    user who may still listen gets a new token with the next page that is rendered.
    """
    if isinstance(target, Topic):
        if (code, reason) != (NOT_LOGGED_IN, _ENDED):
            raise TypeError("a topic is revoked without code and reason: its sockets stay open")
        _revoke_topic(target, user)
        return
    if user is not _MISSING:
        raise TypeError("user= goes with a Topic: revoke(Topic(order), user=…)")
    said = _fitting(reason)
    for who in _sessions(target):
        after_commit(Revocation(who, said, code))


def _revoke_topic(topic: Topic, user: Any) -> None:
    whose: list[dict[str, str]] = [{}]
    if user is not _MISSING:
        to = _audience(user) or {"users": []}
        if not to.keys() <= {"user", "users"}:
            raise TypeError("user= takes a user, a primary key, or an iterable of those")
        whose = [{"user": one} for one in to.get("users", [to["user"]] if "user" in to else [])]
    max_age = conf.topic_max_age()
    for one in whose:
        after_commit(TopicRevocation({"topic": topic.name, **one}, "revoked", max_age=max_age))


def revoke_now(session: Session, *, code: int = NOT_LOGGED_IN, reason: str) -> None:
    """Close a session's sockets without waiting for a commit, as a logout must."""
    send_outside_transaction([Revocation(who, reason, code) for who in _sessions(session)])


def recheck(target: Any) -> None:
    """Have the gateway ask Django again who a user, several, a ``Group`` or a ``Session`` is.

    It asks after the commit. Call it when who a user is has changed, or its groups: sockets stay
    open with the new answer, or close where that no longer allows them. A group stands for its
    members as the gateway knows them: for one that was renamed, give the old name.
    """
    to = _audience(target)
    if to is None:
        return
    if not to.keys() <= {"user", "users", "group", "session"}:
        raise TypeError("recheck() takes a user, users, a Group or a Session")
    for part, _ in _parts(to, ""):
        users = part.get("users", ())
        after_commit(Recheck({"user": users[0]} if len(users) == 1 else part))


def _parts(to: dict[str, Any], id: str) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield audience and id of a publication; several where it has too many users for one."""
    users = to.get("users", [])
    if len(users) <= MOST_USERS:
        yield to, id
        return
    for number, start in enumerate(range(0, len(users), MOST_USERS)):
        yield {"users": users[start : start + MOST_USERS]}, f"{id}.{number}"


def _sessions(target: Any) -> list[dict[str, str]]:
    """Return the users or sessions that are meant, one by one, as the gateway's API names them."""
    to = _audience(target)
    if to is None:
        return []
    users = to.get("users")
    several = [{"user": user} for user in users] if users else [to]
    if not all(one.keys() <= {"user", "session"} for one in several):
        raise TypeError("revoke() takes a user, users, a Session or a Topic")
    return several


def _fitting(reason: str) -> str:
    if len(reason.encode()) > LONGEST_REASON:
        raise ValueError(f"a close reason has at most {LONGEST_REASON} bytes: {reason!r}")
    return reason


def _excluded(exclude: Any) -> str | None:
    """Return the id of a connection; of a request it is the one that the gateway vouches for."""
    if exclude is None or isinstance(exclude, str):
        return exclude
    if isinstance(exclude, Connection):
        return exclude.id
    sender = getattr(exclude, "gatepost", None)
    if sender is None and not hasattr(exclude, "META"):
        raise TypeError(f"exclude takes a request or a Connection, not {type(exclude).__name__}")
    return getattr(sender, "connection", None)


def _audience(target: Any) -> dict[str, Any] | None:
    try:
        return audience(target)
    except conf.SecretMissingError as error:
        logger.error("nothing sent to the gateway: %s", error)
        return None


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
