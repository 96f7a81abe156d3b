"""A real Django with one mistake in it: the browser is told which, and so is the developer."""

import secrets

import pytest

from harness.browser import log_in
from harness.site import SOCKET, Site
from harness.wait import wait_until

# Opens a socket in the page and gives how it was closed, or "open" if the gateway serves it: a
# socket that still waits for Django's judgement is open too, but its ping is not answered.
CLOSED = """path => new Promise((resolve) => {
  const ws = new WebSocket(`wss://${location.host}${path}`);
  ws.onclose = (event) => resolve([event.code, event.reason]);
  ws.onopen = () => ws.send('{"type":"ping"}');
  ws.onmessage = (event) => JSON.parse(event.data).type === "pong" && resolve("open");
})"""

NOTICE = "#gatepost-notice"

# A file of the frontend's: the board's page would ask Django who this is, who then deletes the
# cookie of a session that it does not know.
QUIET = "/style.css"

# Django's first answer takes its time on a busy machine. No lease may outlive a mistake, nor count
# as an old one does, for `grace`, where the gateway has asked while Django was being restarted.
AUTH = 'lease = "1ms"\ngrace = "1ms"\ntimeout = "10s"'

# The mistake, the kind that the log names, what the close reason says, and what the remedy says.
MISTAKES = [
    (
        "https",
        "plain_http",
        "GatepostMiddleware first in MIDDLEWARE",
        "'HTTP_X_FORWARDED_PROTO', 'https'",
    ),
    ("www", "www_redirect", "PREPEND_WWW", "www.localhost"),
    ("login", "login_required", "exempt the auth path from login", "/_gatepost/auth/"),
    ("language", "language_prefix", "i18n_patterns", "outside of i18n_patterns"),
    ("agent", "forbidden", "DISALLOWED_USER_AGENTS", "DISALLOWED_USER_AGENTS"),
    ("secret", "wrong_secret", "the same secret", "GATEPOST_SECRET"),
    ("urls", "not_found", "include('gatepost.urls')", "urls.py"),
    ("spa", "page", "auth.url answers no JSON but a page", "django.upstream"),
]


@pytest.fixture(scope="module")
def site(tmp_path_factory, playwright):
    """A site whose Django is asked about every handshake: no lease outlives a restart."""
    running = Site(tmp_path_factory.mktemp("site"), playwright, auth=AUTH)
    try:
        yield running.start()
    finally:
        running.stop()


@pytest.fixture
def stranger(site, visitor):
    """Somebody whose session Django does not know."""
    context = visitor()
    origins = (site.origin, site.origin.replace("localhost", "127.0.0.1"))
    context.add_cookies([cookie(origin) for origin in origins])
    return context


def cookie(origin):
    """A session cookie of nobody's, and another each time: Django deletes those it meets."""
    value = secrets.token_hex(16)
    return {"name": "sessionid", "value": value, "url": origin, "secure": True}


def restart(site, mistake=None):
    """Restarts Django, with this mistake or with none."""
    site.django.stop()
    if mistake is None:
        site.start_django()
        return
    # gunicorn would believe X-Forwarded-Proto from this machine, and so hide a mistake of Django's.
    mistaken = {"DJANGO_SETTINGS_MODULE": "probes.mistaken", "PROBE_MISTAKE": mistake}
    site.start_django(**mistaken, FORWARDED_ALLOW_IPS="192.0.2.1")


def closed(page):
    """How a socket of this page is closed."""
    return page.evaluate(CLOSED, SOCKET)


@pytest.mark.parametrize(("mistake", "kind", "reason", "remedy"), MISTAKES)
def test_a_mistake_is_named_to_the_browser_in_the_log_and_in_the_page(
    site, stranger, mistake, kind, reason, remedy
):
    page = stranger.new_page()
    page.goto(site.origin + QUIET)
    restart(site, mistake)

    code, said = closed(page)

    assert (code, reason in said) == (1011, True), said
    assert len(said.encode()) <= 123
    logged = wait_until(
        lambda: [line for line in site.gateway.lines if f'"kind":"{kind}"' in line],
        "the log names the mistake",
    )
    assert len(logged) == 1
    assert remedy in logged[0]
    page.goto(f"{site.origin}/")
    notice = page.locator(NOTICE)
    assert notice.is_visible()
    assert remedy in notice.inner_text()


def test_a_view_that_fails_is_named_to_the_developer_and_sends_nobody_away_for_good(site, stranger):
    page = stranger.new_page()
    page.goto(site.origin + QUIET)
    restart(site, "session")

    # It may pass, so the socket is accepted and waits for it.
    assert closed(page) == "open" or closed(page)[0] == 1013

    logged = wait_until(
        lambda: [line for line in site.gateway.lines if '"kind":"server_error"' in line],
        "the log names the mistake",
    )
    assert len(logged) == 1
    assert "ImproperlyConfigured at /_gatepost/auth/" in logged[0]
    page.goto(f"{site.origin}/")
    assert "ImproperlyConfigured" in page.locator(NOTICE).inner_text()


def test_a_host_that_django_refuses_is_named(site, stranger):
    page = stranger.new_page()
    page.goto((site.origin + QUIET).replace("localhost", "127.0.0.1"))
    restart(site, "host")

    code, said = closed(page)

    assert code == 1011
    assert 'refuses the host name "127.0.0.1"' in said
    assert "ALLOWED_HOSTS" in said


def test_what_is_mended_is_gone_from_the_page(site, visitor):
    restart(site)
    page = visitor().new_page()
    log_in(page, site.origin, "ann")
    restart(site, "urls")
    assert closed(page)[0] == 1011
    restart(site)

    assert closed(page) == "open"

    page.goto(f"{site.origin}/")
    assert page.locator(NOTICE).count() == 0


def test_a_page_with_a_strict_policy_shows_the_notice_and_it_can_be_closed(site, stranger):
    page = stranger.new_page()
    complaints = []
    page.on("console", lambda message: complaints.append(message.text))
    page.goto(site.origin + QUIET)
    restart(site, "secret")
    assert closed(page)[0] == 1011
    complaints.clear()

    page.goto(f"{site.origin}/api/probe/strict/")

    notice = page.locator(NOTICE)
    assert notice.is_visible()
    assert not [text for text in complaints if "Content Security Policy" in text]
    notice.get_by_role("button").click()
    assert not notice.is_visible()


def test_a_page_that_django_would_compress_shows_the_notice_as_well(site, stranger):
    page = stranger.new_page()
    page.goto(site.origin + QUIET)
    restart(site, "secret")
    assert closed(page)[0] == 1011

    answer = page.goto(f"{site.origin}/api/probe/gzipped/")

    assert "content-encoding" not in answer.headers
    assert page.locator(NOTICE).is_visible()
    assert page.get_by_text("line 1999 of 3996001").is_visible()
    fetched = page.evaluate(
        "path => fetch(path).then((it) => it.headers.get('content-encoding'))", answer.url
    )
    assert fetched == "gzip"


def test_a_missing_slash_is_named(start_site):
    site = start_site(auth='url = "/_gatepost/auth"\ntimeout = "10s"')
    context = site.browser.visitor()
    context.add_cookies([cookie(site.origin)])
    page = context.new_page()
    page.goto(site.origin + QUIET)

    code, said = closed(page)

    assert code == 1011
    assert "trailing slash" in said
