"""What holds between gateway and Django whatever server Django runs in.

Requests are made as the gateway makes and passes them on. None of the servers is told to trust
anybody, and there is no SECURE_PROXY_SSL_HEADER.
"""

import http.client
import json

import through
from conftest import AUTH

import fakes

HEADERS = through.HEADERS
BATCH = "/_gatepost/sessions/"
DEADLINE = 30

ORDINARY = [AUTH, f"{AUTH}?next=%2Fa%20b&x=%C3%A4+1&empty="]

#: Spellings that a server which hides the request line cannot give back.
ODD = ["/seen/%7e/?q=%7E", "/s%65en/", "/seen/%c3%a4", "/seen/?", "/seen/a%7Cb", "/seen/%ff?"]


def exchange(connect, method, target, *, body=None, signed=True, **headers):
    """Make one request as the gateway passes one on, and return what was answered."""
    added = {"Host": HEADERS["host"]}
    if signed:
        added = {**through.signed_headers(method, target), **forwarded()}
    connection = connect()
    connection.request(method, target, body, {**added, **headers})
    response = connection.getresponse()
    said = response.status, response.read(), response.headers
    connection.close()
    return said


def forwarded():
    """Return what the gateway tells servers and projects that do not know it."""
    return {"X-Forwarded-For": through.ADDRESS, "X-Forwarded-Proto": "https"}


def ask(connect, method, target, *, body=b"", **headers):
    """Make one request of the gateway's own."""
    signed = fakes.signed_fields(method, target, body=body, **HEADERS)
    return exchange(connect, method, target, body=body or None, **{**signed, **headers})


def answers_the_gateway(connect, targets=ORDINARY):
    """Check that the auth view knows the gateway, whatever the spelling of its path."""
    for target in targets:
        status, body, _ = ask(connect, "GET", target)
        assert status == 200, (target, body)
        assert json.loads(body)["user"] is None
    status, body, _ = exchange(connect, "GET", AUTH, **{"Gatepost-Address": "192.0.2.8"})
    assert status == 403
    assert json.loads(body)["error"] == "bad_signature"
    batch = b'{"sessions":["sessionid=x"]}'
    status, body, _ = ask(
        connect, "POST", BATCH, body=batch, **{"Content-Type": "application/json"}
    )
    assert status == 200, body
    assert len(json.loads(body)["sessions"]) == 1


def believes_its_questions(connect):
    """Check that middlewares after ours see a question of the gateway as what it is."""
    status, body, _ = ask(connect, "GET", "/members/")
    assert (status, body) == (302, b"")


def believes_the_gateway(connect, target="/seen/", **headers):
    """Check scheme, host and address, the CSRF check of a form, and what rides on the answer."""
    status, body, fields = exchange(connect, "GET", target, **headers)
    assert status == 200, (target, body)
    seen = json.loads(body)
    expected = {"secure": True, "url": "https://localhost:8443/", "address": through.ADDRESS}
    assert seen == {**expected, "trusted": True, "posted": None}
    assert through.decoded(fields["Gatepost-Publish"])[0]["frame"] == seen
    status, body, _ = exchange(
        connect,
        "POST",
        target,
        body=b"x=y&csrfmiddlewaretoken=" + b"a" * 32,
        **{
            "Content-Type": "application/x-www-form-urlencoded",
            "Cookie": "csrftoken=" + "a" * 32,
            "Origin": "https://localhost:8443",
            **headers,
        },
    )
    assert status == 200, (target, body)
    assert json.loads(body) == {**expected, "trusted": True, "posted": "y"}


def believes_any_spelling(connect, targets=ODD):
    """Check the same for targets that not every server can give back."""
    for target in targets:
        believes_the_gateway(connect, target, **{"Gatepost-Target": target})


def leads_to_the_login(connect):
    """Check that who has to log in is led there by https, and not to https again and again."""
    status, _, fields = exchange(connect, "GET", "/members/")
    assert (status, fields["Location"]) == (302, "/accounts/login/?next=/members/")


def believes_nobody_else(connect):
    """Check that what only the gateway may say counts for nothing without its signature."""
    said = {
        "X-Forwarded-For": "203.0.113.9",
        "X-Forwarded-Proto": "https",
        "Gatepost-Address": "203.0.113.9",
        "Gatepost-Scheme": "https",
        "Host": "localhost",
    }
    wrong = {**said, "Gatepost-Signature": "t=1,v1=" + "0" * 64}
    for headers in (said, wrong):
        status, body, fields = exchange(connect, "GET", "/seen/", signed=False, **headers)
        assert status == 200
        seen = json.loads(body)
        assert seen["trusted"] is False
        assert headers is said or seen["address"] == ""
        assert "Gatepost-Publish" not in fields


def over_tcp(port):
    """Return what connects to a server of this machine."""
    return lambda: http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE)
