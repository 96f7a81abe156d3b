"""The digest by which gateway and Django name a session without ever naming its key.

``targets`` uses it; ``src/session/cookie.rs`` computes the same from the cookie.
"""

import hashlib
import hmac


def session_digest(secret: bytes, cookie: str) -> str:
    """Return the digest of a session cookie's value, in lower-case hex."""
    return hmac.new(secret, b"gatepost-session\n" + cookie.encode(), hashlib.sha256).hexdigest()
