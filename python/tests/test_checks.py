"""What `manage.py check` says; test_settings.py has what concerns settings.GATEPOST itself."""

import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from django.contrib.sessions.middleware import SessionMiddleware
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from django.core.management import get_commands
from django.db import connections
from django.http import HttpResponse
from django.test import override_settings
from django.urls import (
    get_resolver,
    get_script_prefix,
    include,
    path,
    re_path,
    set_script_prefix,
)

from gatepost.management.commands.gateway_publish import Command as Publish
from gatepost.outbox.models import Item

HTTPS = ("HTTP_X_FORWARDED_PROTO", "https")
GATEPOST = "gatepost.middleware.GatepostMiddleware"
SECURITY = "django.middleware.security.SecurityMiddleware"
SESSION = "django.contrib.sessions.middleware.SessionMiddleware"
AUTHENTICATION = "django.contrib.auth.middleware.AuthenticationMiddleware"
CSRF = "django.middleware.csrf.CsrfViewMiddleware"

INCLUDED = path("_gatepost/", include("gatepost.urls"))


@pytest.fixture(autouse=True)
def _sound(settings):
    """A project in which nothing is wrong."""
    settings.SECURE_PROXY_SSL_HEADER = HTTPS
    assert run_checks() == []


def said(id, **options):
    """The messages with an id; every one of them has a hint."""
    messages = [message for message in run_checks(**options) if message.id == f"gatepost.{id}"]
    assert all(message.hint for message in messages)
    return [f"{message.msg} {message.hint}" for message in messages]


class TheirSession(SessionMiddleware):
    """A project's own session middleware."""


class LoginRequiredMiddleware:
    """One that gatepost knows nothing of."""


def home(request):
    return HttpResponse()


@pytest.fixture
def urlpatterns(settings):
    """Makes the project's URLs these."""

    def use(*patterns):
        module = ModuleType("urls_of_a_test")
        module.urlpatterns = list(patterns)
        sys.modules[module.__name__] = module
        settings.ROOT_URLCONF = module.__name__

    yield use
    sys.modules.pop("urls_of_a_test", None)


# Stock projects


URLS = """
from django.urls import include
urlpatterns += [path("_gatepost/", include("gatepost.urls"))]
"""
SETTINGS = """
INSTALLED_APPS += ["gatepost"]
{https}
DEBUG = {debug}
ALLOWED_HOSTS = ["example.com", ".example.org", "[::1]"]
MIDDLEWARE.insert(2, "django.middleware.gzip.GZipMiddleware")
MIDDLEWARE.insert(2, "django.middleware.http.ConditionalGetMiddleware")
"""


@pytest.mark.parametrize("debug", [True, False])
@pytest.mark.parametrize(
    "https",
    [
        'MIDDLEWARE.insert(0, "gatepost.middleware.GatepostMiddleware")',
        'SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")',
    ],
)
def test_a_stock_project_with_the_four_lines_hears_nothing(tmp_path, debug, https):
    """Not even that responses are compressed or revalidated, which does no harm."""
    python = [sys.executable, "-W", "error"]
    subprocess.run(
        [*python, "-m", "django", "startproject", "stock", tmp_path], check=True, timeout=60
    )
    with (tmp_path / "stock" / "urls.py").open("a") as file:
        file.write(URLS)
    with (tmp_path / "stock" / "settings.py").open("a") as file:
        file.write(SETTINGS.format(https=https, debug=debug))
    ran = subprocess.run(
        [*python, "manage.py", "check", "--database", "default", "--fail-level", "INFO"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(Path(__file__).parents[1]), "GATEPOST_SECRET": "s" * 32},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr
    assert "System check identified no issues" in ran.stdout


# E002 and E003: sessions


def test_e002_the_request_resolver_needs_the_middlewares(settings):
    settings.GATEPOST = {**settings.GATEPOST, "USER_RESOLVER": "request"}
    assert said("E002") == []
    settings.MIDDLEWARE = [f"{__name__}.TheirSession", CSRF]
    (message,) = said("E002")
    assert "AuthenticationMiddleware is missing" in message
    settings.GATEPOST = {**settings.GATEPOST, "USER_RESOLVER": "session"}
    assert said("E002") == []


@pytest.mark.parametrize("engine", ["db", "cached_db"])
def test_e003_database_sessions_need_their_app(settings, engine):
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{engine}"
    settings.INSTALLED_APPS = [app for app in settings.INSTALLED_APPS if "sessions" not in app]
    (message,) = said("E003")
    assert "migrate" in message
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.file"
    assert said("E003") == []


# E004 and E005: the auth view


def test_e004_the_urls_are_not_included(urlpatterns):
    urlpatterns(path("", home))
    (message,) = said("E004")
    assert (
        'Add path("_gatepost/", include("gatepost.urls")) to the urlpatterns of urls_of' in message
    )


def test_e004_the_urls_are_inside_of_i18n_patterns(urlpatterns):
    from django.conf.urls.i18n import i18n_patterns

    urlpatterns(*i18n_patterns(INCLUDED))
    (message,) = said("E004")
    assert "out of i18n_patterns()" in message


def test_e004_the_urls_are_not_built_for_each_of_a_hundred_languages(urlpatterns, settings):
    urlpatterns(INCLUDED)
    assert said("E004") == []
    assert len(settings.LANGUAGES) > 90
    assert len(get_resolver()._reverse_dict) <= 3


def test_e005_another_view_answers_first(urlpatterns):
    urlpatterns(re_path("^.*$", home), INCLUDED)
    (message,) = said("E005")
    assert "At /_gatepost/auth/ another view answers" in message
    urlpatterns(INCLUDED, re_path("^.*$", home))
    assert said("E005") == []


def test_e005_below_a_forced_script_name_the_view_is_found(urlpatterns, settings):
    settings.FORCE_SCRIPT_NAME = "/shop"
    before = get_script_prefix()
    set_script_prefix("/shop/")  # As django.setup() does.
    try:
        assert said("E005") == []
        urlpatterns(re_path("^.*$", home), INCLUDED)
        (message,) = said("E005")
        assert "At /shop/_gatepost/auth/ another view answers" in message
    finally:
        set_script_prefix(before)


def test_a_pattern_that_django_cannot_reverse_is_no_traceback(urlpatterns):
    anything = re_path(r"(?s)^.*$", home)
    urlpatterns(INCLUDED, anything)
    assert said("E004") == said("E005") == []
    urlpatterns(anything)
    (message,) = said("E004")
    assert "gatepost.urls is not included" in message


def test_the_urls_may_be_anywhere(urlpatterns):
    urlpatterns(path("live/", include("gatepost.urls")))
    assert said("E004") == said("E005") == []


# E006: hosts


@pytest.mark.parametrize(
    ("entry", "meant"),
    [
        ("http://192.168.42.107:3000", "192.168.42.107"),
        ("https://example.com/", "example.com"),
        ("example.com:8443", "example.com"),
        ("example.com/shop", "example.com"),
        ("[::1]:8000", "[::1]"),
        ("::1", "[::1]"),
        ("localhost:*", "localhost"),
    ],
)
def test_e006_a_host_that_no_request_can_match(settings, entry, meant):
    settings.ALLOWED_HOSTS = ["example.org", entry]
    (message,) = said("E006")
    assert f"ALLOWED_HOSTS has '{entry}'" in message
    assert f"Write '{meant}'" in message
    settings.ALLOWED_HOSTS = [meant]
    assert said("E006") == []


@pytest.mark.parametrize("entry", ["*", ".example.com", "localhost", "10.0.0.1", "[2001:db8::1]"])
def test_hosts_as_they_should_be(settings, entry):
    settings.ALLOWED_HOSTS = [entry]
    assert said("E006") == []


# E007: two of one name


@pytest.fixture
def theirs(settings, tmp_path, monkeypatch):
    """Installs an app, before gatepost, that has a command `gateway_publish`."""

    def install(source):
        commands = tmp_path / "theirs" / "management" / "commands"
        commands.mkdir(parents=True)
        for folder in (commands, commands.parent, commands.parent.parent):
            (folder / "__init__.py").touch()
        (commands / "gateway_publish.py").write_text(source)
        monkeypatch.syspath_prepend(tmp_path)
        settings.INSTALLED_APPS = ["theirs", *settings.INSTALLED_APPS]
        get_commands.cache_clear()

    yield install
    get_commands.cache_clear()
    for name in [name for name in sys.modules if name.partition(".")[0] == "theirs"]:
        del sys.modules[name]


def test_e007_another_apps_command_hides_ours(theirs):
    theirs("from django.core.management import BaseCommand\nclass Command(BaseCommand): pass\n")
    (message,) = said("E007")
    assert "The command 'gateway_publish' of the app 'theirs' hides Gatepost's" in message


def test_a_command_that_builds_on_ours_is_meant(theirs):
    theirs(f"from {Publish.__module__} import Command as Ours\nclass Command(Ours): pass\n")
    assert said("E007") == []


def test_django_itself_refuses_two_apps_of_one_name(settings):
    """It does so before any check runs."""
    apps = [*settings.INSTALLED_APPS, "gatepost.apps.GatepostConfig"]
    with (
        pytest.raises(ImproperlyConfigured, match="gatepost"),
        override_settings(INSTALLED_APPS=apps),
    ):
        pass


# W001, W002, W011, W013, W014: HTTPS


def test_w001_a_redirect_without_end(settings):
    settings.MIDDLEWARE = [SECURITY, *settings.MIDDLEWARE]
    settings.SECURE_SSL_REDIRECT = True
    assert said("W001") == []
    settings.SECURE_PROXY_SSL_HEADER = None
    (message,) = said("W001")
    assert f"Put '{GATEPOST}' first in MIDDLEWARE" in message
    settings.MIDDLEWARE = [SECURITY, GATEPOST, *settings.MIDDLEWARE[1:]]
    assert said("W001") == [message]
    settings.MIDDLEWARE = [GATEPOST, SECURITY, *settings.MIDDLEWARE[2:]]
    assert said("W001") == []


@pytest.mark.parametrize(
    "header",
    [
        ("X-Forwarded-Proto", "https"),
        ("HTTP_X_FORWARDED_PROTOCOL", "https"),
        ("HTTP_X_FORWARDED_PROTO", "on"),
        ("HTTP_X_FORWARDED_PROTO",),
        "HTTP_X_FORWARDED_PROTO",
    ],
)
def test_w002_a_header_that_does_not_match(settings, header):
    settings.MIDDLEWARE = [one for one in settings.MIDDLEWARE if one != GATEPOST]
    settings.SECURE_PROXY_SSL_HEADER = header
    (message,) = said("W002")
    assert "Write ('HTTP_X_FORWARDED_PROTO', 'https')" in message


def test_another_proxys_header_may_stay_beside_the_middleware(settings):
    settings.MIDDLEWARE = [GATEPOST, *settings.MIDDLEWARE]
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_SCHEME", "https")
    assert said("W002") == []


def test_w011_forms_would_be_refused(settings):
    settings.MIDDLEWARE = [one for one in settings.MIDDLEWARE if one != GATEPOST]
    settings.SECURE_PROXY_SSL_HEADER = None
    (message,) = said("W011")
    assert "403, CSRF" in message
    settings.CSRF_TRUSTED_ORIGINS = ["https://example.com"]
    assert said("W011") == []
    settings.CSRF_TRUSTED_ORIGINS = []
    settings.MIDDLEWARE = [middleware for middleware in settings.MIDDLEWARE if middleware != CSRF]
    assert said("W011") == []


def test_w013_the_forwarded_host_is_believed(settings):
    settings.USE_X_FORWARDED_HOST = True
    (message,) = said("W013")
    assert "Remove it" in message


def test_w014_hsts_for_localhost(settings):
    settings.SECURE_HSTS_SECONDS = 3600
    settings.MIDDLEWARE = [SECURITY, *settings.MIDDLEWARE]
    assert said("W014") == []
    settings.DEBUG = True
    (message,) = said("W014")
    assert "every port of localhost" in message


# W003, W004, W009: the cookie


def test_w003_the_cookie_does_not_reach_the_sockets(settings, tmp_path):
    settings.BASE_DIR = tmp_path
    settings.SESSION_COOKIE_PATH = "/app"
    (message,) = said("W003")
    assert "not to the sockets at /ws/notifications/" in message
    settings.SESSION_COOKIE_PATH = "/ws/"
    assert said("W003") == []


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 cannot read TOML")
def test_w003_knows_the_sockets_of_gateway_toml(settings, tmp_path):
    settings.BASE_DIR = tmp_path / "backend"
    (tmp_path / "gateway.toml").write_text(
        '[[sockets]]\npath = "/app/live/"\n[[sockets]]\npath = "/application/"\n'
    )
    settings.SESSION_COOKIE_PATH = "/app"
    (message,) = said("W003")
    assert "/application/" in message


def test_a_broken_gateway_toml_is_the_gateways_to_report(settings, tmp_path):
    settings.BASE_DIR = tmp_path
    (tmp_path / "gateway.toml").write_text('[[sockets]\npath = "/app/"')
    settings.SESSION_COOKIE_PATH = "/ws/"
    assert run_checks() == []


def test_w004_nobody_could_log_in_at_localhost(settings):
    settings.SESSION_COOKIE_DOMAIN = ".example.com"
    assert said("W004") == []
    settings.DEBUG = True
    (message,) = said("W004")
    assert "The session cookie is for example.com" in message
    settings.ALLOWED_HOSTS = ["dev.example.com"]
    assert said("W004") == []


def test_w009_every_site_may_use_the_session(settings):
    settings.SESSION_COOKIE_SAMESITE = "None"
    (message,) = said("W009")
    assert "'Lax' is enough" in message
    for value in ("Lax", "Strict", False):
        settings.SESSION_COOKIE_SAMESITE = value
        assert said("W009") == []


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 cannot read TOML")
def test_w024_gateway_toml_names_another_session_cookie(settings, tmp_path):
    settings.BASE_DIR = tmp_path
    settings.SESSION_COOKIE_NAME = "__Secure-sessionid"
    assert said("W024") == []
    file = tmp_path / "gateway.toml"
    file.write_text("[django]\n")
    assert said("W024") == []
    file.write_text('[django]\nsession_cookie = "sessionid"\n')
    (message,) = said("W024")
    assert "'__Secure-sessionid'" in message
    file.write_text('[django]\nsession_cookie = "__Secure-sessionid"\n')
    assert said("W024") == []


# W005 to W008: engines and resolvers


def test_w005_sessions_in_the_cookie(settings):
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
    (message,) = said("W005")
    assert "after a logout" in message


@pytest.mark.parametrize("engine", ["cache", "cached_db"])
def test_w006_a_cache_of_one_process(settings, engine):
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{engine}"
    (message,) = said("W006")
    assert "the cache 'default'" in message
    settings.CACHES = {
        **settings.CACHES,
        "shared": {
            "BACKEND": "django.core.cache.backends.db.DatabaseCache",
            "LOCATION": "cache",
        },
    }
    settings.SESSION_CACHE_ALIAS = "shared"
    assert said("W006") == []


def test_w006_a_channel_layer_of_one_process(settings):
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    (message,) = said("W006")
    assert "gatepost.channels.GatepostChannelLayer" in message
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "gatepost.channels.GatepostChannelLayer"}}
    assert said("W006") == []


@pytest.mark.parametrize(
    ("id", "name", "value"),
    [
        ("W007", "SESSION_SAVE_EVERY_REQUEST", True),
        ("W008", "SECRET_KEY_FALLBACKS", ["a-former-secret-key"]),
    ],
)
def test_w007_and_w008_a_question_that_writes(settings, id, name, value):
    setattr(settings, name, value)
    assert said(id) == []
    settings.GATEPOST = {**settings.GATEPOST, "USER_RESOLVER": "request"}
    (message,) = said(id)
    assert name in message
    assert "Set USER_RESOLVER to 'session'" in message


# W010: everybody to the login page


def test_w010_a_middleware_that_sends_everybody_to_the_login_page(settings):
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, f"{__name__}.LoginRequiredMiddleware"]
    (message,) = said("W010")
    assert "/_gatepost/" in message


def test_djangos_own_login_required_middleware_is_fine(settings):
    own = "django.contrib.auth.middleware.LoginRequiredMiddleware"
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, own]
    assert said("W010") == []


# W015: the gateway's word comes first


def test_w015_another_middleware_comes_first(settings):
    settings.MIDDLEWARE = [one for one in settings.MIDDLEWARE if one != GATEPOST]
    assert said("W015") == []
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, GATEPOST]
    (message,) = said("W015")
    assert "SessionMiddleware comes before GatepostMiddleware" in message
    assert "the first of MIDDLEWARE" in message
    settings.MIDDLEWARE = [GATEPOST, *settings.MIDDLEWARE[:-1]]
    assert said("W015") == []


# W012: the transactional outbox


@pytest.mark.parametrize("asked", [{"OUTBOX": True}, {"BACKEND": "gatepost.outbox.Backend"}])
def test_w012_the_outbox_is_not_installed(settings, asked):
    settings.INSTALLED_APPS = [app for app in settings.INSTALLED_APPS if "outbox" not in app]
    settings.GATEPOST = {**settings.GATEPOST, **asked}
    (message,) = said("W012")
    assert "Add 'gatepost.outbox' to INSTALLED_APPS" in message
    assert "migrate" in message


@pytest.mark.django_db(databases=["default", "other"])
def test_w012_the_outbox_is_not_migrated(settings):
    settings.GATEPOST = {**settings.GATEPOST, "OUTBOX": True, "DATABASE": "other"}
    both = ["default", "other"]
    assert said("W012", databases=both) == []
    with connections["other"].cursor() as cursor:
        cursor.execute(f"DROP TABLE {Item._meta.db_table}")
    assert said("W012") == said("W012", databases=["default"]) == []
    (message,) = said("W012", databases=both)
    assert Item._meta.db_table in message
    assert "migrate --database other" in message


def test_w012_migrate_is_not_told_to_migrate(settings, monkeypatch):
    """It looks before it makes the tables, and would say so at each first run."""
    settings.GATEPOST = {**settings.GATEPOST, "OUTBOX": True}
    monkeypatch.setattr(sys, "argv", ["manage.py", "migrate"])
    # Without the fixture db, a look at the database fails the test.
    assert said("W012", databases=["default"]) == []


# Only with --deploy


def test_w020_the_cookie_over_plain_http(settings):
    assert said("W020") == []
    (message,) = said("W020", include_deployment_checks=True)
    assert "SESSION_COOKIE_SECURE = True" in message
    settings.SESSION_COOKIE_SECURE = True
    assert said("W020", include_deployment_checks=True) == []


def test_w021_frames_in_the_clear(settings):
    far = ["http://10.0.0.5:9400", "http://gateway:9400"]
    near = ["http://127.0.0.1:9400", "http://[::1]:9400", "http://localhost:9400", "unix:/run/g"]
    settings.GATEPOST = {**settings.GATEPOST, "URL": [*near, *far]}
    assert said("W021") == []
    messages = said("W021", include_deployment_checks=True)
    assert len(messages) == len(far)
    assert all(url in message for url, message in zip(far, messages, strict=True))


def test_a_project_without_users_is_told_and_gets_no_traceback(tmp_path):
    (tmp_path / "userless.py").write_text(
        "SECRET_KEY = 'x'\nROOT_URLCONF = 'userless_urls'\nINSTALLED_APPS = ['gatepost']\n"
        "MIDDLEWARE = ['gatepost.middleware.GatepostMiddleware']\n"
        "GATEPOST = {'SECRET': 'a-shared-secret-of-at-least-32-bytes'}\n"
    )
    (tmp_path / "userless_urls.py").write_text(
        "from django.urls import include, path\n"
        "urlpatterns = [path('_gatepost/', include('gatepost.urls'))]\n"
    )
    path = f"{Path(__file__).parents[1]}{os.pathsep}{tmp_path}"
    ran = subprocess.run(
        [sys.executable, "-m", "django", "check"],
        env={**os.environ, "PYTHONPATH": path, "DJANGO_SETTINGS_MODULE": "userless"},
        capture_output=True,
        text=True,
    )
    assert "(gatepost.E008) django.contrib.auth and django.contrib.contenttypes" in ran.stderr
    assert "Traceback" not in ran.stderr
