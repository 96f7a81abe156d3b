"""Behind real nginx, HAProxy and Caddy: client, scheme and host are what they are.

Each way to the gateway is tried with what an attacker sends along, and by a browser that logs in
(CSRF) and opens a socket.
"""

import http.client
import json

import pytest

from harness.behind import FRONT, INNER, BehindProxies
from harness.browser import log_in, send, wait_for_title
from harness.wait import wait_until

#: Where a client is that nobody trusts.
CLIENT = "127.0.0.9"

LIES = {
    "X-Forwarded-For": "6.6.6.6",
    "X-Forwarded-Proto": "http",
    "X-Forwarded-Host": "evil.example",
    "Forwarded": 'for=6.6.6.6;proto=http;host=evil.example, for="',
    "X-Real-IP": "6.6.6.6",
    "CF-Connecting-IP": "6.6.6.6",
    "X_Forwarded_For": "6.6.6.6",
    "X_Forwarded_Proto": "http",
    "Gatepost-Address": "6.6.6.6",
    "Gatepost-Scheme": "http",
    "Gatepost-Signature": "t=1,v1=00",
}

TRUST = {"trusted_proxies": f'["{FRONT}", "{INNER}"]'}
ENDS_TLS = TRUST | {"https": '""'}
INTRODUCES = TRUST | {"proxy_protocol": "true"}
FORWARDED = "http-request add-header Forwarded for=%[src];proto=https"


def nginx(site):
    site.nginx(f"http://127.0.0.1:{site.http_port}", address=FRONT)


def two_nginx(site):
    to = f"http://127.0.0.1:{site.http_port}"
    inner = site.nginx(to, address=INNER, tls=False, scheme="$http_x_forwarded_proto")
    site.nginx(f"http://127.0.0.1:{inner}", address=FRONT)


def haproxy(site):
    rules = ["option forwardfor", "http-request set-header X-Forwarded-Proto https"]
    site.haproxy(f"127.0.0.1:{site.http_port}", rules=rules)


def haproxy_forwarded(site):
    site.haproxy(f"127.0.0.1:{site.http_port}", rules=[FORWARDED])


def haproxy_before_nginx(site):
    to = f"http://127.0.0.1:{site.http_port}"
    inner = site.nginx(to, address=INNER, tls=False, scheme="$http_x_forwarded_proto")
    rules = ["option forwardfor", "http-request set-header X-Forwarded-Proto https"]
    site.haproxy(f"127.0.0.1:{inner}", rules=rules)


def caddy(site):
    site.caddy(f"127.0.0.1:{site.http_port}")


def proxy_v1(site):
    site.haproxy(f"127.0.0.1:{site.https_port}", mode="tcp", server="send-proxy")


def proxy_v2(site):
    site.haproxy(f"127.0.0.1:{site.https_port}", mode="tcp", server="send-proxy-v2")


def proxy_v2_before_nginx_and_a_unix_socket(site):
    inner = site.nginx(f"http://unix:{site.door}:", address=INNER, listen="proxy_protocol")
    site.haproxy(f"127.0.0.1:{inner}", mode="tcp", server="send-proxy-v2")


def nginx_of_the_guide(site):
    site.nginx_of_the_guide()


BY_A_UNIX_SOCKET = ENDS_TLS | {"trusted_proxies": '["unix"]', "http": '"unix:http.sock"'}

WAYS = {
    nginx: (ENDS_TLS, True),
    two_nginx: (ENDS_TLS, True),
    haproxy: (ENDS_TLS, True),
    haproxy_forwarded: (ENDS_TLS | {"client_address": '"Forwarded"'}, True),
    haproxy_before_nginx: (ENDS_TLS, True),
    # It cannot be told where to connect from.
    caddy: (ENDS_TLS | {"trusted_proxies": '["127.0.0.1"]'}, True),
    proxy_v1: (INTRODUCES, False),
    proxy_v2: (INTRODUCES, False),
    proxy_v2_before_nginx_and_a_unix_socket: (BY_A_UNIX_SOCKET, True),
    nginx_of_the_guide: (BY_A_UNIX_SOCKET, True),
}


@pytest.fixture(scope="module", params=WAYS, ids=lambda way: way.__name__)
def site(request, tmp_path_factory, playwright):
    keys, ends_tls = WAYS[request.param]
    folder = tmp_path_factory.mktemp("site")
    running = BehindProxies(folder, playwright, keys=keys, ends_tls=ends_tls)
    try:
        running.start()
        request.param(running)
        yield running
    finally:
        running.stop()


def connection(site, client=CLIENT):
    return http.client.HTTPSConnection(
        "localhost", site.port, context=site.tls(), timeout=30, source_address=(client, 0)
    )


@pytest.mark.parametrize("fields", [{}, LIES], ids=["honest", "lying"])
def test_django_sees_the_client_the_scheme_and_the_host_as_they_are(site, fields):
    way = connection(site)
    way.request("GET", "/api/probe/request/", headers=fields)

    seen = json.load(way.getresponse())

    assert seen["remote_addr"] == CLIENT
    assert seen["secure"] is True
    assert seen["host"] == f"localhost:{site.port}"
    meta = seen["meta"]
    assert meta["HTTP_X_FORWARDED_FOR"] == meta["HTTP_GATEPOST_ADDRESS"] == CLIENT
    assert meta["HTTP_X_FORWARDED_PROTO"] == meta["HTTP_GATEPOST_SCHEME"] == "https"
    said = " ".join(meta.values())
    assert not [lie for lie in ("6.6.6.6", "evil.example", "v1=00") if lie in said]
    assert {"HTTP_FORWARDED", "HTTP_X_REAL_IP", "HTTP_CF_CONNECTING_IP"}.isdisjoint(meta)


def test_a_person_logs_in_and_has_a_socket(site):
    page = site.browser.visitor().new_page()
    try:
        log_in(page, site.origin, "bob")
        send(page, "user:bob", f"through {site.port}")
        wait_for_title(page, f"through {site.port}")
    finally:
        page.context.close()


def test_the_access_log_and_the_list_of_connections_name_the_client(site):
    way = connection(site, "127.0.0.8")
    way.request("GET", "/api/probe/request/?logged=1")
    assert way.getresponse().status == 200

    def logged():
        lines = [json.loads(line) for line in site.gateway.lines if '"upstream_ms"' in line]
        return any(line["address"] == "127.0.0.8" and line["query"] == "logged" for line in lines)

    wait_until(logged, "the access log names the client")


def test_a_client_that_comes_past_the_proxies_is_not_believed(site):
    lies = LIES | {"X-Forwarded-Proto": "https", "Host": f"localhost:{site.port}"}
    if site.http_port:
        direct = http.client.HTTPConnection(
            "127.0.0.1", site.http_port, timeout=30, source_address=(CLIENT, 0)
        )
        direct.request("GET", "/api/probe/request/", headers=lies)
        answer = direct.getresponse()
        assert answer.status in (307, 308)
        assert answer.headers["Location"].startswith("https://localhost")
    if site.https_port:
        direct = http.client.HTTPSConnection(
            "localhost",
            site.https_port,
            context=site.tls(),
            timeout=30,
            source_address=(CLIENT, 0),
        )
        direct.request("GET", "/api/probe/request/", headers=lies)
        assert json.load(direct.getresponse())["remote_addr"] == CLIENT
