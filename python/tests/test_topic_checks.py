"""What `manage.py check` says of topics, tokens and positions."""

import sys
from types import ModuleType

import pytest
from django.core.checks import run_checks
from django.http import HttpResponse
from django.urls import include, path
from django.views.decorators.cache import cache_page, never_cache
from test_checks import HTTPS, said

from gatepost.checks import topics

UPDATE = "django.middleware.cache.UpdateCacheMiddleware"


@pytest.fixture(autouse=True)
def _sound(settings, tmp_path):
    """A project with templates, in which nothing is wrong."""
    settings.SECURE_PROXY_SSL_HEADER = HTTPS
    settings.BASE_DIR = tmp_path
    settings.TEMPLATES = [
        {"BACKEND": "django.template.backends.django.DjangoTemplates", "DIRS": [tmp_path]}
    ]
    assert run_checks() == []


@pytest.fixture
def template(tmp_path):
    def template(name, text):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"{{% load cache gatepost %}}{text}")

    return template


def configured(settings, **changes):
    settings.GATEPOST = {**settings.GATEPOST, **changes}


# E040


def may_follow(users, pk):
    return set()


@pytest.mark.parametrize(
    "right", [may_follow, "test_topic_checks.may_follow", None, "acme/people.note:<pk>"]
)
def test_topics_that_can_be_asked_about(settings, right):
    key = right if isinstance(right, str) and "<pk>" in right else "people.note:<pk>"
    configured(settings, TOPICS={key: None if key == right else right})
    assert said("E040") == []


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ([], "TOPICS must be a dict"),
        ({"people.nothing:<pk>": None}, "names 'people.nothing:<pk>', and no model"),
        ({"people.note": None}, "names 'people.note', and no model"),
        ({"people.Note:<pk>": None}, "names 'people.Note:<pk>', and no model"),
        ({"people.note:<pk>": "no.such"}, "is 'no.such', which is no function"),
        ({"people.note:<pk>": 7}, "is 7, which is no function"),
    ],
)
def test_topics_that_cannot(settings, wrong, sentence):
    configured(settings, TOPICS=wrong)
    (text,) = said("E040")
    assert sentence in text


def test_an_age_that_is_none(settings):
    configured(settings, TOPIC_MAX_AGE="12h")
    (text,) = said("E040")
    assert "TOPIC_MAX_AGE" in text


# W040


@pytest.mark.parametrize(
    "text",
    [
        "{% cache 300 x %}{% topics 'news' %}{% endcache %}",
        "{% cache 300 x %}{% if b %}{% topics 'news' as t %}{% endif %}{% endcache %}",
        "{% cache 300 x %}{% include 'part.html' %}{% endcache %}",
        "{% cache 300 x request.LANGUAGE_CODE %}{% topics 'news' %}{% endcache %}",
    ],
)
def test_a_token_in_a_cached_fragment(template, text):
    template("part.html", "{% topics 'news' %}")
    template("page.html", text)
    (found,) = said("W040")
    assert found.startswith("page.html: {% topics %} stands in {% cache %}")


@pytest.mark.parametrize(
    "text",
    [
        "{% topics 'news' %}",
        "{% cache 300 x %}{% endcache %}{% topics 'news' %}",
        "{% cache 300 x request.user.pk %}{% topics 'news' %}{% endcache %}",
        "{% cache 300 x %}{% topics 'news' public=True %}{% endcache %}",
        "{% cache 300 x %}{% include 'other.html' %}{% include name %}{% endcache %}",
        "{% cache 300 x %}{% topics 'news' %}{% no_such_tag %}{% endcache %}",
    ],
)
def test_fragments_in_which_nothing_is_wrong(template, text):
    template("page.html", text)
    assert said("W040") == []


def test_fragments_that_include_each_other_come_to_an_end(template):
    template("page.html", "{% cache 300 x %}{% include 'page.html' %}{% endcache %}")
    assert said("W040") == []


# W041


@pytest.mark.parametrize("app", ["django_tenants", "tenant_schemas"])
def test_tenants_share_names(monkeypatch, app):
    monkeypatch.setattr(topics.apps, "is_installed", lambda name: name == app)
    (found,) = topics.check_tenants()
    assert app in found.msg
    assert "within=" in found.hint


# W042


def test_models_whose_listeners_nobody_asks_about_again(template, settings):
    template("page.html", "{% topics note page.team 'news' unknown %}")
    template("people/membership_detail.html", "{% topics object %}")
    template("object.html", "{% topics object %}")
    (text,) = said("W042")
    assert "listen to people.membership, people.note, people.team, and" in text
    configured(settings, TOPICS={"people.note:<pk>": may_follow, "people.membership:<pk>": None})
    (text,) = said("W042")
    assert "listen to people.team, and" in text


def test_what_anybody_may_hear_needs_no_question(template):
    template("page.html", "{% topics note public=True %}")
    assert said("W042") == []


def test_calls_in_the_project_s_code_count_too(tmp_path, monkeypatch):
    (tmp_path / "views.py").write_text(
        "from gatepost import topic_token\n"
        "def view(request, self):\n"
        "    topic_token(request, self.note, 'news')\n"
        "    gatepost.atopic_token(request, team)\n"
        "    topic_token(request, membership, public=True)\n"
    )
    (tmp_path / "broken.py").write_text("topic_token(")
    monkeypatch.setattr(topics, "_sources", lambda: tmp_path.glob("*.py"))
    (text,) = said("W042")
    assert "listen to people.note, people.team, and" in text


def test_the_project_s_own_folders_are_read():
    found = {path.name for path in topics._sources()}
    assert {"models.py", "views.py"} <= found
    assert not any("site-packages" in path.parts for path in topics._sources())


# W043


@pytest.fixture
def urls(settings):
    def urls(*patterns):
        module = sys.modules["urls_of_test"] = ModuleType("urls_of_test")
        module.urlpatterns = [path("_gatepost/", include("gatepost.urls")), *patterns]
        settings.ROOT_URLCONF = "urls_of_test"

    yield urls
    sys.modules.pop("urls_of_test", None)


def page(request):
    return HttpResponse()


TAG = "{% gatepost %}"


def test_a_site_that_is_kept_for_longer_than_the_history(template, settings, tmp_path):
    settings.MIDDLEWARE = [settings.MIDDLEWARE[0], UPDATE, *settings.MIDDLEWARE[1:]]
    assert said("W043") == []  # Without the tag no page has a position.
    template("page.html", TAG)
    (text,) = said("W043")
    assert "Pages are kept for 600 s (CACHE_MIDDLEWARE_SECONDS)" in text
    assert "the last 300 s" in text
    settings.CACHE_MIDDLEWARE_SECONDS = 300
    assert said("W043") == []


@pytest.mark.skipif(sys.version_info < (3, 11), reason="no tomllib")
@pytest.mark.parametrize(("age", "seconds"), [("15m", 900), ("90s", 90), ("1h", 3600)])
def test_the_history_is_as_long_as_gateway_toml_says(template, urls, tmp_path, age, seconds):
    (tmp_path / "gateway.toml").write_text(f'[delivery]\nhistory_age = "{age}"\n')
    template("page.html", TAG)
    urls(path("a/", cache_page(seconds)(page)), path("b/", cache_page(seconds + 1)(page)))
    (text,) = said("W043")
    assert f"for {seconds + 1} s" in text


def test_views_that_are_kept_for_longer(template, urls):
    template("page.html", TAG)
    urls(
        path("short/", cache_page(60)(page)),
        path("plain/", never_cache(page)),
        path("in/", include([path("long/", never_cache(cache_page(900)(page)))])),
        path("as-the-site/", cache_page(None)(page)),
    )
    found = said("W043")
    assert [text.partition(",")[0] for text in found] == [
        "cache_page() keeps page for 900 s",
        "cache_page() keeps page for 600 s",  # CACHE_MIDDLEWARE_SECONDS
    ]


@pytest.mark.parametrize(("seconds", "warned"), [("900", True), ("None", True), ("60", False)])
def test_fragments_that_are_kept_for_longer(template, seconds, warned):
    template("page.html", f"{{% cache {seconds} x %}}{TAG}{{% endcache %}}")
    assert bool(said("W043")) is warned


def test_a_fragment_whose_time_is_a_variable_is_passed_by(template):
    template("page.html", f"{{% cache ttl x %}}{TAG}{{% endcache %}}")
    assert said("W043") == []


# Templates themselves


@pytest.mark.parametrize(
    "wrong", [[{"BACKEND": "no.such"}], [{"BACKEND": "django.template.backends.dummy.X"}]]
)
def test_wrong_settings_of_templates_are_djangos_to_say(settings, wrong):
    settings.TEMPLATES = wrong
    for check in (topics.check_fragments, topics.check_asked_again):
        assert check() == []
