"""`gateway_config`: a gateway.toml from the settings. The real gateway judges some in e2e/."""

import io
import json
import sys
from contextlib import redirect_stdout
from types import ModuleType

import django
import pytest
from django.conf import settings as django_settings
from django.contrib.staticfiles.finders import get_finder
from django.core.management import CommandError, call_command, load_command_class
from django.http import HttpResponse
from django.urls import include, path, re_path

from gatepost.program import frontend, gateway_toml


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
        ([".example.com"], '["example.com", "*.example.com"]'),
        ([".b.test", "a.test"], '["b.test", "a.test", "*.b.test"]'),
        ([".internal"], '["internal"]'),
        ([".10.0.0.1"], '["10.0.0.1"]'),
        (["*"], '["localhost"]'),
        ([], '["localhost"]'),
    ],
)
def test_hosts(settings, allowed, hosts):
    settings.ALLOWED_HOSTS = allowed
    assert f"hosts = {hosts}" in drafted()
    unknown = [host for host in allowed if host in ("*", ".internal", ".10.0.0.1")]
    assert [line for line in drafted().splitlines() if "ALLOWED_HOSTS has" in line] == [
        f"# ALLOWED_HOSTS has {host}: list every name that people type." for host in unknown
    ]


def test_while_developing_localhost_comes_first(settings):
    settings.DEBUG = True
    assert 'hosts = ["localhost", "example.com"]' in lines()


def test_the_cookies_name_is_left_to_django(settings):
    settings.SESSION_COOKIE_NAME = "shop"
    assert not any("shop" in line for line in lines())


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
    assert 'paths = ["/accounts/", "/admin/", "/api/", "/shop/"]' in said
    assert said[said.index("[frontend]") + 1] == 'upstream = "http://127.0.0.1:5173"'
    assert "[frontend]" not in drafted("--no-frontend")


def test_the_redirect_leaves_a_dev_server_its_port(settings, project):
    settings.DEBUG = True
    package = {"scripts": {"serve": "vue"}, "devDependencies": {"@vue/cli-service": "5"}}
    (project / "package.json").write_text(json.dumps(package))
    said = lines()
    assert said[said.index("[frontend]") + 1] == 'upstream = "http://127.0.0.1:8080"'
    assert 'http = "8081"' in said
    settings.DEBUG = False
    assert not any(line.startswith("http =") for line in lines())


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


@pytest.fixture
def static(settings, project):
    """Static files of Django's own; returns the folder that the finders look into."""
    settings.DEBUG = True
    settings.STATIC_URL = "/static/"
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "django.contrib.staticfiles"]
    folder = project / "assets"
    for name in ("shop/site.css", "js/shop.js", "js/vendor/jquery.js", "robots.txt", ".hidden/x"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    settings.STATICFILES_DIRS = [folder]
    get_finder.cache_clear()
    yield folder
    get_finder.cache_clear()


def paths():
    (line,) = (line for line in lines() if line.startswith("paths = "))
    return [
        path
        for path in json.loads(line.removeprefix("paths = "))
        if path.startswith(("/static/", "/media/"))
    ]


def a_react_project(folder):
    folder.mkdir(parents=True, exist_ok=True)
    package = {"scripts": {"start": "react-scripts start"}, "dependencies": {"react-scripts": "5"}}
    (folder / "package.json").write_text(json.dumps(package))


def test_of_static_files_only_djangos_own_are_djangos(project, static):
    a_vite_project(project / "frontend")
    assert paths() == ["/static/js/", "/static/robots.txt/", "/static/shop/"]


def test_a_prefixed_folder_of_static_files_keeps_its_prefix(settings, project, static):
    a_vite_project(project / "frontend")
    settings.STATICFILES_DIRS = [("site", static)]
    assert "/static/site/shop/" in paths()


def test_create_react_app_keeps_its_bundle(project, static):
    a_react_project(project / "frontend")
    assert paths() == [
        "/static/js/shop.js/",
        "/static/js/vendor/",
        "/static/robots.txt/",
        "/static/shop/",
    ]


def test_what_the_frontend_has_built_is_left_to_its_dev_server(settings, project, static):
    a_react_project(project / "frontend")
    built = project / "frontend" / "build" / "static"
    (built / "css").mkdir(parents=True)
    settings.STATICFILES_DIRS = [static, built]
    assert not any(path.startswith("/static/css/") for path in paths())


def test_media_are_djangos_while_developing(settings, project, static):
    a_vite_project(project / "frontend")
    settings.MEDIA_URL = "/media/"
    assert "/media/" in paths()
    settings.MEDIA_URL = "https://cdn.example.com/"
    assert not any("cdn" in path for path in paths())


def table(header):
    """The lines of each table of a name, without comments."""
    blocks = drafted().split("\n\n")
    return [
        [line.partition("   #")[0] for line in block.splitlines()[1:]]
        for block in blocks
        if block.startswith(header)
    ]


def test_in_production_the_build_is_served(settings, project, static):
    a_vite_project(project / "frontend")
    settings.DEBUG = False
    assert "# After the frontend is built:\n# [frontend]\n# root" in drafted()
    assert "5173" not in drafted()
    (project / "frontend" / "dist").mkdir()
    assert table("[frontend]") == [['root = "frontend/dist"']]
    (project / "frontend" / "vite.config.ts").write_text(
        "export default defineConfig({\n  // build: { outDir: 'no' },\n"
        "  build: { outDir: 'out', sourcemap: true },\n})"
    )
    (project / "frontend" / "out").mkdir()
    assert table("[frontend]") == [['root = "frontend/out"']]


def test_in_production_collected_files_do_not_hide_the_build(settings, project, static):
    a_react_project(project / "frontend")
    settings.DEBUG, settings.STATIC_ROOT = False, project / "collected"
    settings.STATIC_ROOT.mkdir()
    for name in ("js", "css"):
        (project / "frontend" / "build" / "static" / name).mkdir(parents=True)
    assert table("[frontend]") == [['root = "frontend/build"']]
    assert table("[[files]]") == [
        ['path = "/static/"', 'root = "collected"'],
        ['path = "/static/css/"', 'root = "frontend/build/static/css"'],
        ['path = "/static/js/"', 'root = "frontend/build/static/js"'],
    ]
    # Collected with Django's own, it is there already.
    settings.STATICFILES_DIRS = [project / "frontend" / "build" / "static"]
    get_finder.cache_clear()
    assert len(table("[[files]]")) == 1


def test_in_production_a_build_below_static_is_found_there(settings, project, static):
    a_vite_project(project / "frontend")
    (project / "frontend" / "vite.config.js").write_text("export default { base: '/static/' }")
    settings.DEBUG, settings.STATIC_ROOT = False, project / "collected"
    settings.STATIC_ROOT.mkdir()
    (project / "frontend" / "dist" / "assets").mkdir(parents=True)
    assert ['path = "/static/assets/"', 'root = "frontend/dist/assets"'] in table("[[files]]")


def test_in_production_a_frontend_with_a_server_of_its_own_keeps_it(settings, project):
    settings.DEBUG = False
    package = {"scripts": {"start": "next start"}, "dependencies": {"next": "16"}}
    (project / "package.json").write_text(json.dumps(package))
    assert table("[frontend]") == [['upstream = "http://127.0.0.1:3000"']]
    (project / "out").mkdir()
    (project / "out" / "index.html").touch()
    assert table("[frontend]") == [['root = "out"']]


@pytest.fixture
def django_vite(settings, project, static):
    """Vite for the templates of Django, below STATIC_URL."""
    a_vite_project(project)
    (project / "index.html").unlink()
    (project / "vite.config.mjs").write_text("export default { base: '/static/' }")


def test_vite_for_djangos_templates_gets_its_path_alone(settings, django_vite):
    assert table("[[upstreams]]") == [['path = "/static/"', 'upstream = "http://127.0.0.1:5173"']]
    assert "[frontend]" not in drafted()
    assert paths() == ["/static/js/", "/static/robots.txt/", "/static/shop/"]
    settings.DEBUG = False
    assert "upstreams" not in drafted()


def test_vite_for_djangos_templates_without_a_path_is_left_alone(project, django_vite):
    (project / "vite.config.mjs").unlink()
    assert "5173" not in drafted()
    assert "paths" not in drafted()


@pytest.mark.parametrize("app", ["django_vite", "webpack_loader"])
def test_with_an_app_for_templates_the_pages_are_djangos(project, app, monkeypatch):
    a_vite_project(project)
    assert frontend.find(project).has_pages
    monkeypatch.setattr(
        django_settings, "INSTALLED_APPS", [*django_settings.INSTALLED_APPS, f"{app}.apps.Of"]
    )
    assert not frontend.find(project).has_pages


def test_webpacks_socket_goes_through_the_gateway(project):
    a_react_project(project)
    found = frontend.find(project)
    told = found.environment(3001)
    # To webpack's client this is the page's own origin, its scheme included.
    assert (told["WDS_SOCKET_HOST"], told["WDS_SOCKET_PORT"]) == ("0.0.0.0", "0")
    package = {"scripts": {"start": "webpack serve"}, "devDependencies": {"webpack-dev-server": 5}}
    (project / "package.json").write_text(json.dumps(package))
    assert "auto://0.0.0.0:0/ws" in frontend.find(project).command(1)


def test_what_builds_on_vite_is_taken_for_itself(tmp_path):
    (tmp_path / "package.json").write_text(
        '{"scripts": {"start": "astro dev"}, "dependencies": {"vite": "7", "astro": "5"}}'
    )
    found = frontend.find(tmp_path)
    assert found.port == 4321
    assert found.command(4400)[:3] == ["npm", "run", "start"]


@pytest.fixture
def consumers(settings, monkeypatch):
    """Routes of Channels; returns how they can be changed."""
    routing = pytest.importorskip("channels.routing")
    from channels.auth import AuthMiddlewareStack
    from channels.security.websocket import AllowedHostsOriginValidator

    consumer = lambda scope, receive, send: None  # noqa: E731
    module = ModuleType("asgi_of_a_draft")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(
        django_settings, "INSTALLED_APPS", [*django_settings.INSTALLED_APPS, "channels"]
    )
    settings.ASGI_APPLICATION = f"{module.__name__}.application"

    def use(*routes):
        router = routing.URLRouter(
            [kind(route, inner or consumer) for kind, route, inner in routes]
        )
        inside = AllowedHostsOriginValidator(AuthMiddlewareStack(router))
        module.application = routing.ProtocolTypeRouter({"websocket": inside})
        return router

    use((path, "ws/chat/<str:room>/", None), (re_path, r"^live/ws/(?P<id>\d+)$", None))
    return use


CHAT = ['path = "/ws/chat/"', 'upstream = "http://127.0.0.1:8000"']


def test_consumers_are_routed_to_their_server(settings, consumers):
    settings.DEBUG = True
    own = [line.replace(":8000", ":8001") for line in CHAT]
    assert own in table("[[upstreams]]")
    assert "# daphne --port 8001 asgi_of_a_draft:application" in drafted()
    settings.DEBUG = False  # There one server answers everything.
    assert CHAT in table("[[upstreams]]")
    assert table("[[upstreams]]")[0] == ['path = "/live/ws/"', CHAT[1]]


def test_consumers_are_routed_to_a_runserver_that_answers_them(settings, consumers, monkeypatch):
    settings.DEBUG = True
    apps = ["daphne", *django_settings.INSTALLED_APPS]
    monkeypatch.setattr(django_settings, "INSTALLED_APPS", apps)
    assert CHAT in table("[[upstreams]]")


def test_the_routes_of_consumers_may_be_nested_and_vary(consumers):
    inner = consumers((path, "a/<int:x>/", None), (path, "b", None), (re_path, r"^c/$", None))
    consumers((path, "ws/", inner), (path, "<str:room>/", None), (re_path, r"^x/y$", None))
    found = [block[0] for block in table("[[upstreams]]")]
    assert found == [f'path = "{at}"' for at in ("/ws/a/", "/ws/b/", "/ws/c/", "/x/y/")]


def test_a_consumer_keeps_the_path_that_the_gateway_would_take(settings, consumers):
    consumers((path, "ws/notifications/", None))
    assert table("[[sockets]]") == [['path = "/ws/gatepost/"']]
    assert table("[[upstreams]]")[0][0] == 'path = "/ws/notifications/"'
    # Where Gatepost is the channel layer, the gateway takes the consumer's place.
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "gatepost.channels.GatepostChannelLayer"}}
    assert table("[[sockets]]") == [['path = "/ws/notifications/"']]
    assert table("[[upstreams]]") == []


def test_consumers_among_djangos_pages_take_none_of_them(consumers, urlpatterns):
    urlpatterns(path("chat/", HttpResponse))
    consumers((path, "chat/<str:room>/", None))
    assert table("[[upstreams]]") == []
    assert "give the sockets a path of their own" in drafted()


def test_an_asgi_module_that_cannot_be_imported_is_left_to_django(settings, consumers):
    settings.ASGI_APPLICATION = "no.such.module.application"
    assert table("[[upstreams]]") == []


def test_a_stock_project_has_no_consumers(settings):
    settings.ASGI_APPLICATION = "project.asgi.application"
    assert "upstreams" not in drafted()


def test_in_production_uploaded_files_are_served(settings, project):
    settings.MEDIA_URL, settings.MEDIA_ROOT = "/media/", project / "uploads"
    assert "# After the first upload:" in drafted()
    settings.MEDIA_ROOT.mkdir()
    assert table("[[files]]") == [['path = "/media/"', 'root = "uploads"']]
    settings.DEBUG = True
    assert table("[[files]]") == []


def test_it_is_written_beside_a_manage_py_above_base_dir(settings, project, monkeypatch):
    settings.BASE_DIR = project / "src" / "config"
    settings.BASE_DIR.mkdir(parents=True)
    for program, folder in (
        (project / "manage.py", project),
        (project / "elsewhere" / "manage.py", settings.BASE_DIR),
        (project / "pytest", settings.BASE_DIR),
    ):
        monkeypatch.setattr(sys, "argv", [str(program), "gateway_config"])
        assert gateway_toml.place() == folder / "gateway.toml"


SECURED = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]


def test_security_headers_are_those_of_the_settings(settings):
    settings.MIDDLEWARE = [*SECURED, *settings.MIDDLEWARE]
    settings.SECURE_HSTS_SECONDS = 86_400 * 730
    settings.SECURE_HSTS_INCLUDE_SUBDOMAINS = settings.SECURE_HSTS_PRELOAD = True
    settings.SECURE_REFERRER_POLICY = ["no-referrer", "same-origin"]
    said = lines()
    assert 'hsts = "365d; includeSubDomains; preload"' in said
    at = said.index("[headers]")
    assert said[at + 1 : at + 4] == [
        '"X-Frame-Options" = "DENY"',
        '"Referrer-Policy" = "no-referrer,same-origin"',
        '"Cross-Origin-Opener-Policy" = "same-origin"',
    ]
    settings.SECURE_HSTS_PRELOAD = False
    settings.SECURE_HSTS_SECONDS = 3600
    assert 'hsts = "3600s; includeSubDomains"' in lines()
    settings.DEBUG = True
    assert "[headers]" not in drafted()
    assert "hsts" not in drafted()


def test_hsts_is_left_to_who_takes_localhost_out(settings):
    settings.MIDDLEWARE = [*SECURED, *settings.MIDDLEWARE]
    settings.SECURE_HSTS_SECONDS = 3600
    settings.ALLOWED_HOSTS = ["example.com", "localhost"]
    assert '# hsts = "3600s"' in drafted()


@pytest.mark.skipif(django.VERSION < (6, 0), reason="Django 6 has SECURE_CSP")
def test_a_content_security_policy_has_no_nonce(settings):
    from django.utils.csp import CSP

    settings.MIDDLEWARE = ["django.middleware.csp.ContentSecurityPolicyMiddleware"]
    settings.SECURE_CSP = {"default-src": [CSP.SELF], "script-src": [CSP.SELF, CSP.NONCE]}
    policy = "\"default-src 'self'; script-src 'self'\""
    assert f'"Content-Security-Policy" = {policy}' in lines()
