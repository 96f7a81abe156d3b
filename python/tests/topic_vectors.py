"""Writes tests/fixtures/topic_tokens.json, which Python's and Rust's tests both read.

From the text of the contract (docs/protocol.md, Topics and Streams) and not with the package, so
that both can disagree.
"""

import hashlib
import hmac
import json
from base64 import urlsafe_b64encode
from pathlib import Path

PATH = Path(__file__).resolve().parents[2] / "tests" / "fixtures" / "topic_tokens.json"

SECRET = "a-shared-secret-of-at-least-32-bytes"
PREVIOUS = "the-secret-before-it-was-changed-0123456789"
FOREIGN = "a-secret-of-somebody-else-0123456789abcdef"
BEYOND_ASCII = "ein-gemeinsames-Geheimnis-für-beide-Seiten"

ISSUED = 1_794_000_000_123
EXPIRES = 1_794_043_200
NOW = 1_794_000_060

#: The text of a name, and whether it is one.
NAMES = [
    ("news", True),
    ("a", True),
    ("A-Z_0.9/x", True),
    ("n" * 200, True),
    ("n" * 201, False),
    ("", False),
    ("grüße", False),
    ("two words", False),
    ("a,b", False),
    ("a~b", False),
    ("a%20b", False),
    ("shop.order:17", True),
    ("acme/shop.order:17", True),
    ("acme/eu/shop.order:17", True),
    ("shop.order:a~b", True),
    ("shop.order:a%2Fb%2Cc%3Ad", True),
    ("shop.order:Gr%C3%BC%C3%9Fe", True),
    ("shop.gr%C3%B6%C3%9Fe:1", True),
    ("shop.order:0b0f5c0e-52b4-4f7e-9c0f-0f6f3c1f2a10", True),
    ("shop.order:", False),
    (":17", False),
    ("shop.order:1:2", False),
    ("shop.order:a%2fb", False),
    ("shop.order:a%2", False),
    ("shop.order:a/b", False),
    ("shop.order:a b", False),
    ("shop.order:ü", False),
    ("shop.order:" + "9" * 501, True),
    ("shop.order:" + "9" * 502, False),
]


def mac(secret, *lines):
    """Return what stands under a token, or in the field of a stream."""
    made = hmac.new(secret.encode(), "\n".join(lines).encode(), hashlib.sha256).digest()
    return urlsafe_b64encode(made).decode().rstrip("=")


def token(names, *, user="", issued=ISSUED, expires=EXPIRES, secret=SECRET):
    signed = mac(secret, "gatepost-topic", names, user, str(issued), str(expires))
    return f"{names}~{issued}~{expires}~{signed}"


def vector(about, text, outcome, **changed):
    """Return one token, who comes with it and when, and what comes of it."""
    said = {
        "about": about,
        "token": text,
        "secrets": [SECRET],
        "user": "42",
        "now": NOW,
        "outcome": outcome,
        **changed,
    }
    if outcome == "granted":
        names, issued, expires, _ = text.rsplit("~", 3)
        parts = {"names": names.split(","), "issued": int(issued), "expires": int(expires)}
        said = {**said, **parts, "public": changed.get("public", False)}
    return said


def good():
    own = token("shop.order:17", user="42")
    several = token("shop.order:17,shop.invoice:4,news", user="42")
    odd = token("shop.file:a%2Fb%2Cc,shop.file:a~b,acme/shop.order:17", user="42")
    uuid = "0b0f5c0e-52b4-4f7e-9c0f-0f6f3c1f2a10"
    both = [SECRET, PREVIOUS]
    public = token("news")
    return [
        vector("of the user who comes with it", own, "granted"),
        vector("several names", several, "granted"),
        vector("names with percent signs, a tilde and a prefix", odd, "granted"),
        vector("a user whose id is a UUID", token("news", user=uuid), "granted", user=uuid),
        vector("a user whose id is beyond ASCII", token("news", user="zoë"), "granted", user="zoë"),
        vector(
            "a secret beyond ASCII",
            token("news", user="42", secret=BEYOND_ASCII),
            "granted",
            secrets=[BEYOND_ASCII],
        ),
        vector("public, for a visitor", public, "granted", user=None, public=True),
        vector("public, for somebody", public, "granted", public=True),
        vector("of the secret before, while both count", _rotated(), "granted", secrets=both),
        vector("of the secret now, while both count", own, "granted", secrets=both),
        vector(
            "public, of the secret before",
            token("news", secret=PREVIOUS),
            "granted",
            secrets=both,
            user=None,
            public=True,
        ),
        vector("in its last second", own, "granted", now=EXPIRES - 1),
        vector("issued by a clock that is ahead", own, "granted", now=ISSUED // 1000 - 30),
    ]


def _rotated():
    return token("shop.order:17", user="42", secret=PREVIOUS)


def refused():
    own = token("shop.order:17", user="42")
    names, issued, expires, signed = own.split("~")
    # 32 bytes are 43 characters, the last of which has two bits to spare.
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    spare = signed[:-1] + alphabet[alphabet.index(signed[-1]) + 1]
    forged = ("A" if signed[0] != "A" else "B") + signed[1:]
    of_other_names = token("shop.order:18", user="42").split("~")[3]
    no = "not_allowed"
    return [
        vector("expired", own, "expired", now=EXPIRES),
        vector("expired long ago", own, "expired", now=EXPIRES + 86_400),
        vector("expired, public", token("news"), "expired", now=EXPIRES, user=None),
        vector("another user's", own, no, user="43"),
        vector("a user's, for a visitor", own, no, user=None),
        vector("another user's, and expired", own, no, user="43", now=EXPIRES),
        vector("another secret", token("shop.order:17", user="42", secret=FOREIGN), no),
        vector("of the secret before, which no longer counts", _rotated(), no),
        vector("forged", f"{names}~{issued}~{expires}~{forged}", no),
        vector("the MAC of another name", f"{names}~{issued}~{expires}~{of_other_names}", no),
        vector("another name", f"shop.order:18~{issued}~{expires}~{signed}", no),
        vector("one more name", f"{names},news~{issued}~{expires}~{signed}", no),
        vector("a later expiry", f"{names}~{issued}~{EXPIRES + 1}~{signed}", no),
        vector("a later issue", f"{names}~{ISSUED + 1}~{expires}~{signed}", no),
        vector("respelt: the MAC's spare bits", f"{names}~{issued}~{expires}~{spare}", no),
        vector("respelt: upper case", f"Shop.Order:17~{issued}~{expires}~{signed}", no),
        vector("respelt: quoted further", f"shop.order:1%37~{issued}~{expires}~{signed}", no),
        vector(
            "respelt: names in another order",
            "b,a~" + token("a,b", user="42").split("~", 1)[1],
            no,
        ),
    ]


def malformed():
    own = token("shop.order:17", user="42")
    names, issued, expires, signed = own.split("~")
    quoted = token("shop.file:a%2Fb", user="42")
    texts = {
        "nothing": "",
        "a word": "news",
        "without a MAC": f"{names}~{issued}~{expires}",
        "an empty MAC": f"{names}~{issued}~{expires}~",
        "a MAC that is too short": own[:-1],
        "a MAC that is too long": f"{own}A",
        "a padded MAC": f"{own}=",
        "a MAC in the other alphabet": f"{names}~{issued}~{expires}~{'+' + signed[1:]}",
        "a MAC in hex": f"{names}~{issued}~{expires}~{'0' * 64}",
        "no names": f"~{issued}~{expires}~{signed}",
        "an empty name": f"{names},~{issued}~{expires}~{signed}",
        "a name that is none": f"two words~{issued}~{expires}~{signed}",
        "a name that was unquoted once too often": quoted.replace("%2F", "/"),
        "a name in the other case of percent signs": quoted.replace("%2F", "%2f"),
        "a leading zero in issued": f"{names}~0{issued}~{expires}~{signed}",
        "a leading zero in expiry": f"{names}~{issued}~0{expires}~{signed}",
        "a sign in expiry": f"{names}~{issued}~+{expires}~{signed}",
        "other digits": f"{names}~{issued}~\u0661{expires[1:]}~{signed}",
        "too many digits": f"{names}~{issued}~{'9' * 13}~{signed}",
        "white space": f" {own}",
        "a line feed": f"{own}\n",
        "more than 4096 bytes": token(",".join(f"shop.order:{n:0200}" for n in range(20))),
    }
    return [vector(about, text, "malformed") for about, text in texts.items()]


STREAMS = [
    {
        "secret": SECRET,
        "method": "GET",
        "target": "/jobs/7/events/",
        "request_id": "5b2f0e6c-0000002a",
        "body": '{"v":1,"user":"42","topics":["shop.job:7"]}',
    },
    {
        "secret": BEYOND_ASCII,
        "method": "POST",
        "target": "/ask/?q=%C3%A4&x=1%2B1",
        "request_id": "5b2f0e6c-0000002b",
        "body": '{"v":1,"user":null,"topics":[],"first":[{"text":"Grüße"}]}',
    },
]


def streamed(stream):
    body = hashlib.sha256(stream["body"].encode()).hexdigest()
    lines = ("gatepost-stream", stream["method"], stream["target"], stream["request_id"], body)
    return {**stream, "body_sha256": body, "header": f"v1,{mac(stream['secret'], *lines)}"}


def made():
    return {
        "names": [{"name": name, "valid": valid} for name, valid in NAMES],
        "tokens": [*good(), *refused(), *malformed()],
        "streams": [streamed(one) for one in STREAMS],
    }


if __name__ == "__main__":
    PATH.write_text(json.dumps(made(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
