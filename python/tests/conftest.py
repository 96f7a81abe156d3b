import pytest
from django.contrib.auth import get_user_model
from django.contrib.sessions.backends.file import SessionStore as FileStore
from django.contrib.sessions.models import Session
from django.core.cache import caches
from django.test import Client
from django.urls import include, path

import fakes
from gatepost import environment
from gatepost.sending import client as gateway_client
from gatepost.sending import piggyback

# What the entry point pytest11 does where the package is installed.
pytest_plugins = ["gatepost.pytest_plugin"]

# Run by test_user_tests.py, as its users would.
collect_ignore = ["samples"]

ENGINES = ["db", "cached_db", "cache", "file", "signed_cookies"]
AUTH = "/_gatepost/auth/"
HEADERS = {
    "host": "localhost:8443",
    "address": "192.0.2.7",
    "scheme": "https",
}


@pytest.fixture(autouse=True)
def _fresh_client():
    """No test inherits a connection or an open breaker."""
    gateway_client.reset()
    yield
    gateway_client.reset()


@pytest.fixture(autouse=True)
def _production(monkeypatch):
    """What is tested is what happens outside of tests; see test_in_tests.py for the rest."""
    monkeypatch.setattr(environment, "is_testing", lambda: False)


@pytest.fixture(autouse=True)
def _patience(monkeypatch):
    """However slow the machine is, a test's request is not a long one."""
    monkeypatch.setattr(piggyback, "PATIENCE", 3600)


@pytest.fixture
def gateway(settings):
    """A gateway that records, and that GATEPOST points to."""
    fake = fakes.FakeGateway.on_tcp()
    settings.GATEPOST = {**settings.GATEPOST, "URL": fake.url}
    yield fake
    fake.close()


@pytest.fixture
def user(db):
    return get_user_model().objects.create_user("ann", password="correct horse")


@pytest.fixture
def ask():
    """Asks the auth view as the gateway does: with the browser's cookie, signed."""

    def ask(cookie=None, *, client=None, **changes):
        client = client or Client()
        if cookie is not None:
            client.cookies["sessionid"] = cookie
        signed = fakes.signed_fields("GET", AUTH, **HEADERS)
        headers = {f"HTTP_{name.upper().replace('-', '_')}": signed[name] for name in signed}
        return client.get(AUTH, **{**headers, **changes})

    return ask


@pytest.fixture
def at(settings):
    """Serves views at paths of their own, for one test."""

    def at(**views):
        class Urls:
            urlpatterns = [path("_gatepost/", include("gatepost.urls"))]

        Urls.urlpatterns += [path(f"{name}/", view) for name, view in views.items()]
        settings.ROOT_URLCONF = Urls

    return at


class Storage:
    """All that the five engines can write to, as a value that can be compared."""

    def __init__(self, folder):
        self.folder = folder

    def __call__(self):
        return (
            list(Session.objects.order_by("pk").values_list()),
            dict(caches["default"]._cache),
            dict(caches["default"]._expire_info),
            [(p.name, p.read_bytes(), p.stat().st_mtime_ns) for p in sorted(self.folder.iterdir())],
        )


@pytest.fixture(params=ENGINES)
def engine(request, settings, tmp_path, monkeypatch):
    caches["default"].clear()
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{request.param}"
    # Not SESSION_FILE_PATH, which the engine reads once for all tests.
    monkeypatch.setattr(FileStore, "_storage_path", str(tmp_path), raising=False)
    return request.param


@pytest.fixture
def storage(tmp_path):
    return Storage(tmp_path)


@pytest.fixture
def log_in(user):
    """Logs the user in by the project's own means and returns the browser with its cookie."""

    def log_in(as_user=None):
        browser = Client()
        browser.force_login(as_user or user)
        return browser

    return log_in
