"""The header ``Gatepost-Signature``, by which gateway and Django know each other.

``client`` signs with it, ``trust`` verifies with it; ``src/web/signature.rs`` is the same thing
in the gateway, and ``tests/signature_vectors.json`` binds both. The MAC is compared before the
time, so that a difference of the clocks can be told from a wrong secret.
"""

import hashlib
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass

#: The header's name.
HEADER = "Gatepost-Signature"

#: How old or how early a signature may be, in seconds.
VALID_FOR = 60

#: Stands for the hash of a body that streams and cannot be hashed beforehand.
STREAMED = "-"

_FORM = re.compile(r"t=(([0-9]{1,12})(?:,n=[0-9a-f]{16,64})?),v1=([0-9a-f]{64})", re.ASCII)


class SignatureError(Exception):
    """The signature does not hold; the text says why and what to do."""


class ClockError(SignatureError):
    """The signature is right, and was made too long ago, or is yet to be made."""


@dataclass(frozen=True)
class Parts:
    """What is signed. Text is taken as latin-1, as HTTP header fields are on the wire."""

    method: str
    #: Path with query, exactly as on the request line.
    target: str
    host: str = ""
    #: The client's, on a request that the gateway passes on.
    address: str = ""
    #: What the client speaks.
    scheme: str = ""
    #: Lower-case hex SHA-256 of the body, or ``STREAMED``.
    body_hash: str = hashlib.sha256(b"").hexdigest()

    def canonical(self, moment: str) -> bytes:
        """Return the bytes under the MAC; ``moment`` is what the header says before ``,v1=``."""
        lines = (
            "v1",
            self.method,
            self.target,
            moment,
            self.host,
            self.address,
            self.scheme,
            self.body_hash,
        )
        return "\n".join(lines).encode("latin-1")


def hash_body(body: bytes) -> str:
    """Return what ``Parts.body_hash`` is for a body."""
    return hashlib.sha256(body).hexdigest()


def sign(secret: bytes, parts: Parts, *, at: int, nonce: str = "") -> str:
    """Return the header's value for a request that is sent at the unix time ``at``.

    The nonce (16 to 64 hex digits) tells it apart from another one that is otherwise the same.
    """
    moment = f"{at},n={nonce}" if nonce else str(at)
    return f"t={moment},v1={_mac(secret, parts, moment)}"


def verify(header: str, parts: Parts, secrets: Iterable[bytes], *, now: int) -> None:
    """Raise :class:`SignatureError` unless one of the secrets signed these parts just now."""
    form = _FORM.fullmatch(header)
    if form is None:
        raise SignatureError(
            f"The header {HEADER} is not of the form t=<unix seconds>,v1=<64 hex digits>."
        )
    moment, at, claimed = form[1], int(form[2]), form[3]
    # Every secret is tried, so that the time taken does not say which one matched.
    matches = [hmac.compare_digest(_mac(secret, parts, moment), claimed) for secret in secrets]
    if not any(matches):
        raise SignatureError(
            "The signature was made with another secret or for another request. Gateway and"
            " Django must have the same secret (GATEPOST_SECRET on both sides), and nothing"
            " between them may change the path, Host, Gatepost-Address or Gatepost-Scheme."
        )
    _check_clock(at, now)


def _check_clock(at: int, now: int) -> None:
    if abs(now - at) <= VALID_FOR:
        return
    direction = "behind" if at < now else "ahead of"
    raise ClockError(
        f"The secret is right, but the clock of the signer is {abs(now - at)} s {direction} this"
        f" one (at most {VALID_FOR} s are allowed), or an old request was sent again. Set the"
        " clocks of both machines, for instance with NTP."
    )


def _mac(secret: bytes, parts: Parts, moment: str) -> str:
    return hmac.new(secret, parts.canonical(moment), hashlib.sha256).hexdigest()
