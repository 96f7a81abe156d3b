"""What is answered about a session: the JSON of the auth view, the batch view and the lease.

One function makes all three, because the gateway relies on each as on the others.
"""

import logging
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from gatepost import conf
from gatepost.answering.logins import Login
from gatepost.sending.calls import encode
from gatepost.sending.frames import RESERVED
from gatepost.sending.targets import has_named_groups
from gatepost.throttle import Throttle

logger = logging.getLogger("gatepost")

#: The gateway takes a name of so many bytes, and an answer of so many.
LONGEST_NAME = 255
LARGEST_ANSWER = 64 * 1024

#: Frames leave as short as they can be; NaN is a mistake that the gateway could only refuse.
JSON = {"allow_nan": False, "ensure_ascii": False, "separators": (",", ":")}

#: Of each kind of fault one is logged a minute: a page tries again and again.
_log_throttle = Throttle(60)

#: Marks an answer as this package's: a frontend's fallback page answers 200 to any path, too.
VERSION = 1


def answer(login: Login | None, *, frames: bool = True) -> dict[str, Any]:
    """Return what the gateway is told about a session, with or without its first frames."""
    if login is None:
        return _answer(None, [], None, [])
    user, named = login.user, login.user_id
    groups, first = _groups(login), _frames(user) if frames else []
    _log_what_is_refused(named, groups, first)
    return _answer(named, groups, login.expires_at, first)


def _log_what_is_refused(user: str, groups: list[str], frames: list[Any]) -> None:
    """Log which parts of an answer the gateway will refuse: here it is known whose it is."""
    long = [name for name in groups if not 0 < len(name.encode()) <= LONGEST_NAME]
    if len(user.encode()) > LONGEST_NAME:
        _log_rarely("id", f"the id {user[:20]!r}… of a user", f"more than {LONGEST_NAME} bytes")
    if long:
        _log_rarely(
            "name", f"a group of user {user[:40]}", f"no name, or one above {LONGEST_NAME} bytes"
        )
    of_groups = sum(len(name.encode()) + 3 for name in groups)
    of_frames = len(encode(frames).encode()) if frames else 0
    if of_groups + of_frames <= LARGEST_ANSWER:
        return
    if of_groups > of_frames:
        what = f"{len(groups)} groups with {of_groups} bytes in their names"
        remedy = "GATEPOST['GROUPS'] can name those alone that are notified"
    else:
        what, remedy = f"first frames of {of_frames} bytes", "let INITIAL_FRAMES say less"
    _log_rarely("size", f"user {user[:40]}", f"{what}, {LARGEST_ANSWER} are taken in all: {remedy}")


def _log_rarely(kind: str, who: str, what: str) -> None:
    if _log_throttle.allows(kind):
        logger.error("the gateway will refuse the auth view's answer: %s has %s", who, what)


def _answer(
    user: str | None, groups: list[str], expires_at: int | None, frames: list[Any]
) -> dict[str, Any]:
    return {
        "v": VERSION,
        "user": user,
        "groups": groups,
        "expires_at": expires_at,
        "lease": None,
        "frames": frames,
    }


def _groups(login: Login) -> list[str]:
    named = conf.function("GROUPS")
    if named is not None:
        return [str(name) for name in _list("GROUPS", named(login.user))]
    names = login.groups
    if names is None:
        # A custom user model may call something else "groups", or its groups have no names.
        if not has_named_groups(type(login.user)):
            return []
        names = list(login.user.groups.values_list("name", flat=True))
    return sorted(names)


def _frames(user: Any) -> list[Any]:
    made = conf.function("INITIAL_FRAMES")
    said = _list("INITIAL_FRAMES", made(user)) if made is not None else []
    return [one for one in said if not _is_reserved(one)]


def _is_reserved(frame: Any) -> bool:
    """Return whether a first frame could be taken for the gateway's own word, and log that."""
    reserved = isinstance(frame, dict) and RESERVED in frame
    if reserved and _log_throttle.allows("reserved"):
        logger.error(
            "a frame of INITIAL_FRAMES is left out: its member %r is the gateway's own", RESERVED
        )
    return reserved


def _list(key: str, said: Any) -> list[Any]:
    if said is None:
        return []
    if isinstance(said, str | bytes | dict):
        raise ImproperlyConfigured(
            f"GATEPOST[{key!r}] must return a list, not {type(said).__name__}"
        )
    return list(said)
