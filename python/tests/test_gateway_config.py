"""`gateway_config`: a gateway.toml from the settings. The real gateway judges some in e2e/."""

import io
import sys
from contextlib import redirect_stdout
from types import ModuleType

import pytest
from django.core.management import CommandError, call_command, load_command_class
from django.http import HttpResponse
from django.urls import include, path, re_path

from gatepost.devserver import frontend


@pytest.fixture(autouse=True)
def project(settings, tmp_path):
    settings.BASE_DIR = tmp_path
    settings.ALLOWED_HOSTS = ["example.com"]
    return tmp_path


@pytest.fixture
def urlpatterns(settings):
    def use(*patterns):
        module = ModuleType("urls_of_a_draft")
        module.urlpatterns = [*patterns, path("_gatepost/", include("gatepost.urls"))]
        sys.modules[module.__name__] = module
        settings.ROOT_URLCONF = module.__name__

    yield use
    sys.modules.pop("urls_of_a_draft", None)


def drafted(*arguments):
    out = io.StringIO()
    with redirect_stdout(out):
        call_command("gateway_config", "--stdout", *arguments)
    return out.getvalue()


def lines():
    """What it says, without comments."""
    said = (line.partition("   #")[0].rstrip() for line in drafted().splitlines())
    return [line for line in said if line and not line.startswith("#")]


def test_only_what_is_special_is_written(settings):
    assert lines() == [
        "[server]",
        'hosts = ["example.com"]',
        "[django]",
        'upstream = "http://127.0.0.1:8000"',
        "[[sockets]]",
        'path = "/ws/notifications/"',
    ]


def test_it_is_written_once_beside_manage_py(project):
    out = io.StringIO()
    call_command("gateway_config", stdout=out)
    assert (project / "gateway.toml").read_text() == drafted()
    assert str(project / "gateway.toml") in out.getvalue()


def test_it_is_printed_by_its_command_line(project, capsys):
    load_command_class("gatepost", "gateway_config").run_from_argv(
        ["manage.py", "gateway_config", "--stdout"]
    )
    assert capsys.readouterr().out == drafted()
    assert not (project / "gateway.toml").exists()


def test_what_is_there_is_never_overwritten(project):
    (project / "mine.toml").write_text("mine")
    with pytest.raises(CommandError, match="left as it is"):
        call_command("gateway_config", str(project / "mine.toml"))
    assert (project / "mine.toml").read_text() == "mine"


def test_a_folder_that_is_not_there_is_a_sentence(project):
    with pytest.raises(CommandError, match=r"cannot write .*No such file or directory"):
        call_command("gateway_config", str(project / "none" / "gateway.toml"))


def test_no_secret_is_ever_written(settings):
    settings.GATEPOST = {"SECRET": "s" * 40, "SECRET_PREVIOUS": "p" * 40}
    assert "s" * 40 not in drafted()
    assert "p" * 40 not in drafted()


@pytest.mark.parametrize(
    ("allowed", "hosts"),
    [
        (["localhost", "127.0.0.1", "example.com"], '["example.com", "localhost", "127.0.0.1"]'),
        (["https://Example.com:8443/", "[::1]"], '["example.com", "[::1]"]'),
        ([".example.com"], '["example.com"]'),
        (["*"], '["localhost"]'),
        ([], '["localhost"]'),
    ],
)
def test_hosts(settings, allowed, hosts):
    settings.ALLOWED_HOSTS = allowed
    assert f"hosts = {hosts}" in drafted()
    wildcards = [host for host in allowed if host[0] in "*."]
    assert all(f"ALLOWED_HOSTS has {host}" in drafted() for host in wildcards)


def test_while_developing_localhost_comes_first(settings):
    settings.DEBUG = True
    assert 'hosts = ["localhost", "example.com"]' in lines()


def test_the_cookies_name(settings):
    settings.SESSION_COOKIE_NAME = "shop"
    assert 'session_cookie = "shop"' in lines()


@pytest.mark.parametrize(
    ("url", "internal"),
    [
        ("unix:/run/gatepost.sock", "unix:/run/gatepost.sock"),
        ("http://localhost:9401", "127.0.0.1:9401"),
        ("http://10.0.0.5:9400", "10.0.0.5:9400"),
        ("http://[::1]:9400", "[::1]:9400"),
        (["http://127.0.0.1:9402", "http://10.0.0.5:9400"], "127.0.0.1:9402"),
    ],
)
def test_the_internal_address_is_the_one_that_django_calls(settings, url, internal):
    settings.GATEPOST = {"URL": url}
    assert f'internal = "{internal}"' in lines()


def test_an_internal_address_that_only_a_name_is_known_of(settings):
    settings.GATEPOST = {"URL": "http://gateway:9400"}
    assert not any(line.startswith("internal") for line in lines())
    assert "# internal: the address of this machine" in drafted()


def test_static_files_that_django_will_not_serve(settings, project):
    settings.STATIC_URL = "/static/"
    settings.STATIC_ROOT = project / "collected"
    assert "# [[files]]" in drafted()  # Not collected yet: the gateway would refuse it.
    settings.STATIC_ROOT.mkdir()
    assert ["[[files]]", 'path = "/static/"', 'root = "collected"'] == lines()[4:7]
    settings.STATIC_URL = "https://cdn.example.com/"
    assert "[[files]]" not in drafted()


def test_while_developing_runserver_serves_static_files(settings, project):
    settings.STATIC_URL, settings.STATIC_ROOT = "/static/", project
    settings.DEBUG = True
    assert "[[files]]" not in drafted()


def test_urls_at_another_prefix(settings):
    module = ModuleType("urls_of_a_draft")
    module.urlpatterns = [path("live/", include("gatepost.urls"))]
    sys.modules[module.__name__] = module
    settings.ROOT_URLCONF = module.__name__
    assert 'url = "/live/auth/"' in lines()


def a_vite_project(folder):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "index.html").touch()
    (folder / "package.json").write_text(
        '{"scripts": {"dev": "vite"}, "devDependencies": {"vite": "^7"}}'
    )


def test_a_frontend_gets_what_django_does_not_answer(settings, project, urlpatterns):
    settings.DEBUG = True
    settings.STATIC_URL = "/static/"
    view = HttpResponse
    urlpatterns(
        path("", view),
        path("admin/", view),
        path("shop/<int:pk>/", view),
        path("shop/cart/", view),
        re_path(r"^api/v1/", view),
        path("", include([path("accounts/", include([path("login/", view)]))])),
        path("<slug:page>/", view),
        path("robots.txt", view),
    )
    a_vite_project(project / "frontend")
    said = lines()
    assert 'paths = ["/accounts/", "/admin/", "/api/", "/shop/", "/static/"]' in said
    assert said[said.index("[frontend]") + 1] == 'upstream = "http://127.0.0.1:5173"'
    assert "[frontend]" not in drafted("--no-frontend")


# Which dev server a package.json means


@pytest.mark.parametrize("where", [".", "frontend", "../client"])
def test_a_dev_server_is_found_in_and_beside_the_project(tmp_path, where):
    base = tmp_path / "backend"
    base.mkdir()
    a_vite_project(base / where)
    found = frontend.find(base)
    assert found.folder == (base / where).resolve()
    assert found.command(5199) == (
        ["npm", "run", "dev", "--", "--port", "5199", "--strictPort", "--host", "127.0.0.1"]
    )


@pytest.mark.parametrize(
    ("lock", "begins"),
    [
        ("pnpm-lock.yaml", ["pnpm", "run", "dev", "--port"]),
        ("yarn.lock", ["yarn", "run", "dev", "--port"]),
        ("bun.lock", ["bun", "run", "dev", "--port"]),
        ("package-lock.json", ["npm", "run", "dev", "--", "--port"]),
    ],
)
def test_the_package_manager_is_known_by_its_lock_file(tmp_path, lock, begins):
    a_vite_project(tmp_path)
    (tmp_path / lock).touch()
    assert frontend.find(tmp_path).command(1)[: len(begins)] == begins


@pytest.mark.parametrize(
    "package",
    [
        '{"scripts": {"dev": "tailwindcss -w"}, "devDependencies": {"tailwindcss": "4"}}',
        '{"devDependencies": {"vite": "7"}}',
        "[]",
        "no json",
    ],
)
def test_a_package_json_is_no_frontend_yet(tmp_path, package):
    (tmp_path / "index.html").touch()
    (tmp_path / "package.json").write_text(package)
    assert frontend.find(tmp_path) is None


def test_vite_that_serves_scripts_for_djangos_pages_is_no_frontend(tmp_path):
    a_vite_project(tmp_path)
    (tmp_path / "index.html").unlink()
    assert frontend.find(tmp_path) is None


def test_what_builds_on_vite_is_taken_for_itself(tmp_path):
    (tmp_path / "package.json").write_text(
        '{"scripts": {"start": "astro dev"}, "dependencies": {"vite": "7", "astro": "5"}}'
    )
    found = frontend.find(tmp_path)
    assert found.port == 4321
    assert found.command(4400)[:3] == ["npm", "run", "start"]
