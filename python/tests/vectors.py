"""Writes signature_vectors.json, which Python's and Rust's tests both read.

From the text of the contract (design.md, section 5) and not with the package, so that both
can disagree.
"""

import hashlib
import hmac
import json
from pathlib import Path

PATH = Path(__file__).with_name("signature_vectors.json")

REQUESTS = [
    {
        "name": "auth call of the gateway",
        "secret": "a-shared-secret-of-at-least-32-bytes",
        "method": "GET",
        "target": "/_gatepost/auth/",
        "t": 1700000000,
        "host": "localhost:8443",
        "address": "192.0.2.7",
        "scheme": "https",
        "body": "",
    },
    {
        "name": "publication by Django, whom nobody asked, with a body that is not ASCII",
        "secret": "a-shared-secret-of-at-least-32-bytes",
        "method": "POST",
        "target": "/v1/publish",
        "t": 1763886000,
        "host": "127.0.0.1:9400",
        "address": "",
        "scheme": "",
        "body": '{"to":{"user":"42"},"frame":{"type":"notification","title":"Grüße"}}\n',
    },
    {
        "name": "proxied request, whose body streams, with a query and a secret beyond ASCII",
        "secret": "ein-gemeinsames-Geheimnis-für-beide-Seiten",
        "method": "PUT",
        "target": "/api/a%20b/?q=%C3%A4&x=1%2B1&empty=",
        "t": 4102444800,
        "host": "app.example.com",
        "address": "2001:db8::1",
        "scheme": "https",
        "body": None,
    },
    {
        "name": "one of two that are otherwise the same",
        "secret": "a-shared-secret-of-at-least-32-bytes",
        "method": "POST",
        "target": "/v1/recheck",
        "t": 1763886000,
        "nonce": "0f1e2d3c4b5a69788796a5b4c3d2e1f0",
        "host": "127.0.0.1:9400",
        "address": "",
        "scheme": "",
        "body": '{"user":"42"}',
    },
    {
        "name": "over a Unix socket, early in time",
        "secret": "0123456789abcdef0123456789abcdef",
        "method": "POST",
        "target": "/v1/revoke",
        "t": 1,
        "host": "localhost",
        "address": "",
        "scheme": "",
        "body": '{"user":"42","code":4001,"reason":"logged out"}',
    },
]

SESSIONS = [
    ("a-shared-secret-of-at-least-32-bytes", "3xjz0b5v0q8l1m2n3o4p5q6r7s8t9u0v"),
    (
        "a-shared-secret-of-at-least-32-bytes",
        ".eJxVjDsOwjAQBe_iGlnxb72mpOcM1q4_OIAcKU4qxN1JpBTQvpl5bxFoW2vYel7ClMRF:1rXxYz:AbC-_123",
    ),
    ("ein-gemeinsames-Geheimnis-für-beide-Seiten", "ü"),
]


def signed(request):
    body = request["body"]
    body_hash = "-" if body is None else hashlib.sha256(body.encode()).hexdigest()
    nonce = request.get("nonce", "")
    moment = f"{request['t']},n={nonce}" if nonce else str(request["t"])
    canonical = "\n".join(
        [
            "v1",
            request["method"],
            request["target"],
            moment,
            request["host"],
            request["address"],
            request["scheme"],
            body_hash,
        ]
    )
    mac = hmac.new(request["secret"].encode(), canonical.encode("latin-1"), hashlib.sha256)
    header = f"t={moment},v1={mac.hexdigest()}"
    made = {"body_sha256": body_hash, "canonical": canonical, "header": header}
    return {"nonce": nonce, **request, **made}


def digested(secret, cookie):
    message = b"gatepost-session\n" + cookie.encode()
    digest = hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()
    return {"secret": secret, "cookie": cookie, "digest": digest}


def made():
    return {
        "signatures": [signed(request) for request in REQUESTS],
        "digests": [digested(*session) for session in SESSIONS],
    }


if __name__ == "__main__":
    PATH.write_text(json.dumps(made(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
