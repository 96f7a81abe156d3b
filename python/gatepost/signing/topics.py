"""Names of topics, and the tokens by which a page brings its grants along.

``targets`` checks names here, ``answering`` makes tokens; the gateway reads them. docs/protocol.md,
section 5, is the same in words, and ``tests/fixtures/topic_tokens.json`` binds both sides. The
text of a token does not name its user, only its MAC covers it. So a token made for another user
looks like a forged one.
"""

import hashlib
import hmac
import re
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

#: The longest free name, and the longest name of an object, in bytes.
LONGEST_FREE = 200
LONGEST = 512

#: The gateway takes so many bytes of tokens in a query.
LONGEST_TOKEN = 4096

#: The user id under the MAC of a token for anybody.
ANYBODY = ""

_FREE = re.compile(rf"[A-Za-z0-9_./-]{{1,{LONGEST_FREE}}}", re.ASCII)
_OBJECT = re.compile(r"[A-Za-z0-9_./%-]+:(?:[A-Za-z0-9_.~-]|%[0-9A-F]{2})+", re.ASCII)
_TOKEN = re.compile(r"(.+)~(0|[1-9][0-9]{0,14})~(0|[1-9][0-9]{0,11})~([A-Za-z0-9_-]{43})", re.ASCII)


def is_free_name(text: str) -> bool:
    """Return whether a text may be a topic's name without naming an object."""
    return _FREE.fullmatch(text) is not None


def is_name(text: str) -> bool:
    """Return whether a text is the name of a topic, an object's included."""
    return is_free_name(text) or (len(text) <= LONGEST and _OBJECT.fullmatch(text) is not None)


@dataclass(frozen=True)
class Grant:
    """What a token says: these topics, for one user or (``ANYBODY``) for all."""

    names: Sequence[str]
    user: str
    #: Unix milliseconds.
    issued: int
    #: Unix seconds.
    expires: int

    def token(self, secret: bytes) -> str:
        """Return it as a token."""
        return f"{_head(self)}~{_mac(secret, ','.join(self.names), self.user, _times(self))}"


class Refusal(Enum):
    """Why the gateway does not believe a token, in its own words."""

    MALFORMED = "malformed"
    NOT_ALLOWED = "not_allowed"
    EXPIRED = "expired"


def read(token: str, user: str | None, secrets: Sequence[bytes], *, now: int) -> Grant | Refusal:
    """Return what a token grants to a user (None: a visitor), as the gateway judges it."""
    form = _TOKEN.fullmatch(token)
    if form is None or len(token.encode()) > LONGEST_TOKEN:
        return Refusal.MALFORMED
    names, issued, expires, claimed = form.groups()
    if not all(map(is_name, names.split(","))):
        return Refusal.MALFORMED
    for one in dict.fromkeys((user or ANYBODY, ANYBODY)):
        made = [_mac(secret, names, one, (issued, expires)) for secret in secrets]
        # Each is compared, so that the time taken does not say which one matched.
        matches = [hmac.compare_digest(mac, claimed) for mac in made]
        if any(matches):
            grant = Grant(tuple(names.split(",")), one, int(issued), int(expires))
            return grant if now < grant.expires else Refusal.EXPIRED
    return Refusal.NOT_ALLOWED


def mac(secret: bytes, *lines: str) -> str:
    """Return the MAC over lines, as it stands in tokens and in ``Gatepost-Stream``."""
    made = hmac.new(secret, "\n".join(lines).encode(), hashlib.sha256).digest()
    return urlsafe_b64encode(made).decode().rstrip("=")


def _times(grant: Grant) -> tuple[str, str]:
    return str(grant.issued), str(grant.expires)


def _head(grant: Grant) -> str:
    return "~".join((",".join(grant.names), *_times(grant)))


def _mac(secret: bytes, names: str, user: str, times: tuple[str, str]) -> str:
    return mac(secret, "gatepost-topic", names, user, *times)
