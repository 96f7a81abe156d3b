"""One HTTPS origin: the certificate, bodies both ways, believable headers, cookies kept apart."""

import hashlib
import http.client
import json

import httpx
import pytest

from harness.browser import log_in

MEGABYTES_5 = hashlib.sha256(b"upload").digest() * (5 * 1024 * 1024 // 32)


def https(site):
    """An HTTP/1.1 connection that verifies the certificate."""
    return http.client.HTTPSConnection("localhost", site.https_port, context=site.tls(), timeout=30)


def http2(site):
    """An HTTP/2 client that verifies the certificate."""
    return httpx.Client(base_url=site.origin, http2=True, verify=site.tls(), timeout=30)


def expected_download(size):
    digest = hashlib.sha256()
    for start in range(0, size, 64 * 1024):
        block = hashlib.sha256(str(start).encode()).digest() * (64 * 1024 // 32)
        digest.update(block[: min(64 * 1024, size - start)])
    return digest.hexdigest()


def test_the_certificate_verifies_with_the_ca_file_alone(site):
    connection = https(site)

    connection.request("GET", "/")

    assert connection.getresponse().status == 200
    assert connection.sock.version() == "TLSv1.3"


def test_plain_http_redirects_to_https(site):
    connection = http.client.HTTPConnection("localhost", site.http_port, timeout=10)

    connection.request("GET", "/api/me/?x=1")

    answer = connection.getresponse()
    assert answer.status == 307
    assert answer.headers["Location"] == f"{site.origin}/api/me/?x=1"


def test_the_internal_prefix_is_not_answered_to_the_outside(site):
    connection = https(site)

    connection.request("GET", "/_gatepost/auth/")

    assert connection.getresponse().status == 404


@pytest.mark.parametrize("length", ["with", "without"])
def test_an_upload_over_http1_arrives_whole(site, length):
    connection = https(site)
    body = MEGABYTES_5 if length == "with" else iter([MEGABYTES_5[:1000], MEGABYTES_5[1000:]])

    connection.request("POST", "/api/probe/upload/", body, encode_chunked=length == "without")

    seen = json.load(connection.getresponse())
    assert seen["sha256"] == hashlib.sha256(MEGABYTES_5).hexdigest()
    assert seen["content_length"] == str(len(MEGABYTES_5))


@pytest.mark.parametrize("length", ["with", "without"])
def test_an_upload_over_http2_arrives_whole(site, length):
    body = MEGABYTES_5 if length == "with" else iter([MEGABYTES_5[:1000], MEGABYTES_5[1000:]])
    with http2(site) as client:
        answer = client.post("/api/probe/upload/", content=body)

    assert answer.http_version == "HTTP/2"
    assert answer.json()["sha256"] == hashlib.sha256(MEGABYTES_5).hexdigest()
    assert answer.json()["content_length"] == str(len(MEGABYTES_5))


@pytest.mark.parametrize("length", ["&length=1", ""])
def test_a_download_over_http1_arrives_whole(site, length):
    size = 7_654_321
    connection = https(site)

    connection.request("GET", f"/api/probe/download/?size={size}{length}")

    answer = connection.getresponse()
    body = answer.read()
    assert len(body) == size
    assert hashlib.sha256(body).hexdigest() == expected_download(size)
    assert answer.headers["Content-Length"] == (str(size) if length else None)


@pytest.mark.parametrize("length", ["&length=1", ""])
def test_a_download_over_http2_arrives_whole(site, length):
    size = 7_654_321
    with http2(site) as client:
        answer = client.get(f"/api/probe/download/?size={size}{length}")

    assert hashlib.sha256(answer.content).hexdigest() == expected_download(size)


def test_a_browsers_upload_and_download_are_the_same_bytes(site, visitor):
    page = visitor().new_page()
    page.goto(site.origin)

    answer = page.evaluate(
        """async () => {
          const block = new Uint8Array(3 * 1024 * 1024).map((_, index) => index % 251);
          const form = new Blob([block]);
          const posted = await fetch('/api/probe/upload/', { method: 'POST', body: form });
          const up = await posted.json();
          const down = await (await fetch('/api/probe/download/?size=3000000')).arrayBuffer();
          const hash = await crypto.subtle.digest('SHA-256', down);
          const hex = (byte) => byte.toString(16).padStart(2, '0');
          return { up, down: [...new Uint8Array(hash)].map(hex).join('') };
        }"""
    )

    sent = bytes(index % 251 for index in range(3 * 1024 * 1024))
    assert answer["up"]["sha256"] == hashlib.sha256(sent).hexdigest()
    assert answer["down"] == expected_download(3_000_000)


SPOOFED = {
    "X-Forwarded-For": "6.6.6.6",
    "X-Forwarded-Proto": "http",
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Ssl": "off",
    "X-Forwarded-Port": "1",
    "Forwarded": "for=6.6.6.6;proto=http",
    "X-Real-IP": "6.6.6.6",
    "Remote-User": "ann",
    "X_Forwarded_For": "6.6.6.6",
    "X_Forwarded_Proto": "http",
    "Remote_User": "ann",
    "Gatepost-Signature": "t=1,v1=00",
}


@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/2"])
def test_spoofed_headers_do_not_reach_django(site, version):
    if version == "HTTP/2":
        with http2(site) as client:
            seen = client.get("/api/probe/request/", headers=SPOOFED).json()
    else:
        connection = https(site)
        connection.request("GET", "/api/probe/request/", headers=SPOOFED)
        seen = json.load(connection.getresponse())

    meta = seen["meta"]
    assert meta["HTTP_X_FORWARDED_FOR"] == "127.0.0.1"
    assert meta["HTTP_X_FORWARDED_PROTO"] == "https"
    assert seen["secure"] is True
    assert seen["host"] == f"localhost:{site.https_port}"
    gone = {
        "HTTP_X_FORWARDED_SSL",
        "HTTP_X_FORWARDED_PORT",
        "HTTP_FORWARDED",
        "HTTP_X_REAL_IP",
        "HTTP_REMOTE_USER",
    }
    assert gone.isdisjoint(meta)
    lies = {"6.6.6.6", "evil.example", "for=6.6.6.6;proto=http", "t=1,v1=00"}
    assert lies.isdisjoint(meta.values())


def test_set_cookie_lines_are_kept_apart(site):
    with http2(site) as client:
        over_http2 = client.get("/api/probe/cookies/").headers.get_list("set-cookie")
    connection = https(site)
    connection.request("GET", "/api/probe/cookies/")
    over_http1 = connection.getresponse().headers.get_all("set-cookie")

    for lines in (over_http2, over_http1):
        assert [line.split("=")[0] for line in lines] == ["first", "second", "third"]
        assert "expires=Wed, 21 Oct 2037 07:28:00 GMT" in lines[1]


def test_cookies_that_http2_splits_reach_django_as_one_line(site):
    with http2(site) as client:
        fields = [("cookie", "a=1"), ("cookie", "b=2"), ("cookie", "c=3")]
        seen = client.get("/api/probe/request/", headers=fields).json()

    assert seen["cookies"] == {"a": "1", "b": "2", "c": "3"}
    assert seen["meta"]["HTTP_COOKIE"] == "a=1; b=2; c=3"


def test_a_foreign_host_is_refused_before_django(site):
    connection = https(site)

    connection.request("GET", "/api/probe/request/", headers={"Host": "evil.example"})

    assert connection.getresponse().status == 421


def test_an_unknown_path_gets_the_frontends_page(site, visitor):
    page = visitor().new_page()

    page.goto(f"{site.origin}/some/page/of/the/app")

    page.wait_for_selector("#socket")


def test_a_page_of_django_takes_its_stylesheet_from_the_frontend(site, visitor):
    page = visitor().new_page()
    page.goto(f"{site.origin}/accounts/login/")

    assert page.evaluate("document.styleSheets[0].cssRules.length") > 10


def test_redirects_of_django_stay_on_the_origin(site, visitor):
    page = visitor().new_page()
    log_in(page, site.origin, "bob")

    page.goto(f"{site.origin}/admin")

    assert page.url.startswith(f"{site.origin}/admin/login/?next=/admin/")
