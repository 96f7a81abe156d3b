"""topic_token() and {% topics %}: who gets which token, and that no cache gives it to another."""

import re
import time
from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.contrib.auth import authenticate, get_user_model, login
from django.core.cache import caches
from django.http import HttpResponse, JsonResponse
from django.template import TemplateSyntaxError, engines
from django.template.response import TemplateResponse
from django.test import AsyncClient, Client
from django.views.decorators.cache import cache_control, cache_page
from through import Through

from gatepost import Topic, atopic_token, topic_token
from gatepost.signing.topics import Grant, read
from project.people.models import Note

pytestmark = pytest.mark.django_db(transaction=True)

SECRET = b"a-shared-secret-of-at-least-32-bytes"
TAG = "{% load gatepost %}{% topics note 'news' %}"


def granted(token, user, *secrets):
    """Return what the gateway takes a token for."""
    return read(token, user, secrets or (SECRET,), now=int(time.time()))


@pytest.fixture(autouse=True)
def _templates(settings):
    settings.TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates"}]
    caches["default"].clear()


@pytest.fixture
def note():
    return Note.objects.create()


@pytest.fixture
def page(at, note):
    """Serves a page with a template at /page/."""

    def page(source, decorate=lambda view: view, **context):
        template = engines["django"].from_string(source)
        at(
            page=decorate(
                lambda request: HttpResponse(template.render({**context, "note": note}, request))
            )
        )

    return page


def token_for(request, *topics, **options):
    return HttpResponse(topic_token(request, *topics, **options))


# Whose it is


def test_the_user_of_the_page_may_listen(at, log_in, note, user):
    at(token=lambda request: token_for(request, note, Topic("news"), "news", within=None))
    before = int(time.time())
    said = log_in().get("/token/").content.decode()
    grant = granted(said, str(user.pk))
    assert isinstance(grant, Grant)
    assert grant.names == (f"people.note:{note.pk}", "news")
    assert before <= grant.issued // 1000 <= time.time()
    assert grant.expires - grant.issued // 1000 == 12 * 3600
    assert not isinstance(granted(said, "somebody"), Grant)


def test_a_token_lives_as_long_as_the_settings_say(at, log_in, settings, user):
    settings.GATEPOST = {**settings.GATEPOST, "TOPIC_MAX_AGE": timedelta(minutes=5)}
    at(token=lambda request: token_for(request, "news"))
    grant = granted(log_in().get("/token/").content.decode(), str(user.pk))
    assert grant.expires - grant.issued // 1000 == 300


def test_a_visitor_gets_no_token_but_a_public_one(at, caplog):
    at(
        own=lambda request: token_for(request, "news"),
        public=lambda request: token_for(request, "news", public=True),
    )
    assert Client().get("/own/").content == b""
    assert "nobody is logged in" in caplog.text
    grant = granted(Client().get("/public/").content.decode(), None)
    assert (grant.names, grant.user) == (("news",), "")


def test_a_public_token_is_public_for_somebody_too(at, log_in, user):
    at(token=lambda request: token_for(request, "news", public=True))
    assert granted(log_in().get("/token/").content.decode(), "another").user == ""


def test_it_is_of_who_is_logged_in_after_this_very_request(at, user):
    def view(request):
        login(request, authenticate(username="ann", password="correct horse"))
        return token_for(request, "news")

    at(token=view)
    assert granted(Client().get("/token/").content.decode(), str(user.pk)).names == ("news",)


def test_who_acts_as_somebody_else_gets_a_token_of_the_session_s_user(at, log_in, user):
    """As the auth view, which is what will be asked when the socket opens."""
    other = get_user_model().objects.create_user("other")

    def view(request):
        request.user = other
        return token_for(request, "news")

    at(token=view)
    assert granted(log_in().get("/token/").content.decode(), str(user.pk)).names == ("news",)


@pytest.mark.parametrize("resolver", ["request", lambda request: request.somebody])
def test_another_resolver_is_asked(at, settings, user, resolver):
    settings.GATEPOST = {**settings.GATEPOST, "USER_RESOLVER": resolver}

    def view(request):
        request.user = request.somebody = user
        return token_for(request, "news")

    at(token=view)
    assert granted(Client().get("/token/").content.decode(), str(user.pk)).names == ("news",)


def test_a_user_who_is_not_active_gets_none(at, log_in, user, settings):
    browser = log_in()
    get_user_model().objects.filter(pk=user.pk).update(is_active=False)
    at(token=lambda request: token_for(request, "news"))
    assert browser.get("/token/").content == b""


def test_where_the_user_is_known_it_costs_no_query(at, log_in, django_assert_num_queries):
    def view(request):
        assert request.user.is_authenticated
        with django_assert_num_queries(0):
            return token_for(request, "news")

    at(token=view)
    assert log_in().get("/token/").content


def test_a_request_of_rest_framework_is_looked_through(at, log_in, user):
    def view(request):
        wrapped = SimpleNamespace(_request=request, user=None)
        return JsonResponse({"token": topic_token(wrapped, "news")})

    at(token=view)
    response = log_in().get("/token/")
    assert granted(response.json()["token"], str(user.pk)).names == ("news",)
    assert "private" in response["Cache-Control"]


def test_asynchronous_views_have_their_own(at, log_in, user):
    async def view(request):
        return HttpResponse(await atopic_token(request, "news"))

    at(token=view)
    client = AsyncClient()
    client.cookies["sessionid"] = log_in().cookies["sessionid"].value
    from through import run

    said = run(client.get, "/token/").content.decode()
    assert granted(said, str(user.pk)).names == ("news",)


def test_it_is_signed_with_the_new_secret_while_secrets_change(at, log_in, settings, user):
    settings.GATEPOST = {"SECRET": "n" * 32, "SECRET_PREVIOUS": SECRET.decode()}
    at(token=lambda request: token_for(request, "news"))
    said = log_in().get("/token/").content.decode()
    assert isinstance(granted(said, str(user.pk), b"n" * 32), Grant)
    assert not isinstance(granted(said, str(user.pk), SECRET), Grant)


def test_mistakes_are_said(rf, note):
    with pytest.raises(TypeError, match="at least one object or name"):
        topic_token(rf.get("/"))
    with pytest.raises(ValueError, match="was not saved"):
        topic_token(rf.get("/"), Note(), public=True)
    with pytest.raises(ValueError, match="the gateway takes 4096"):
        topic_token(rf.get("/"), *(f"{n:0200}" for n in range(21)), public=True)


# The tag


def test_the_tag_writes_a_token(page, log_in, user, note):
    page(TAG)
    response = log_in().get("/page/")
    grant = granted(response.content.decode(), str(user.pk))
    assert grant.names == (f"people.note:{note.pk}", "news")


def test_the_tag_takes_a_tenant_a_name_and_public(page):
    page("{% load gatepost %}{% topics note within='acme' public=True as t %}[{{ t }}]")
    said = Client().get("/page/").content.decode()
    assert granted(said[1:-1], None).names[0].startswith("acme/people.note:")


def test_without_a_request_the_tag_says_what_it_needs(note):
    template = engines["django"].from_string(TAG)
    with pytest.raises(TemplateSyntaxError, match="needs the request"):
        template.render({"note": note})


# Caches


def headers_of(response):
    said = re.split(r",\s*", response["Cache-Control"])
    return set(said), response["Vary"]


@pytest.mark.parametrize("public", ["", " public=True"])
def test_a_page_with_a_token_is_of_no_shared_cache(page, log_in, public):
    page(f"{{% load gatepost %}}{{% topics note{public} %}}")
    said, vary = headers_of(log_in().get("/page/"))
    assert "private" in said
    assert "Cookie" in vary


def test_a_decorator_that_makes_it_public_is_overruled(page, log_in):
    page(TAG, cache_control(public=True, max_age=60))
    said, _ = headers_of(log_in().get("/page/"))
    assert "private" in said
    assert "public" not in said


SITE_CACHE = (
    "django.middleware.cache.UpdateCacheMiddleware",
    "django.middleware.cache.FetchFromCacheMiddleware",
)


def with_site_cache(settings, *, first):
    update, fetch = SITE_CACHE
    ours, *others = settings.MIDDLEWARE
    around = [update, ours] if first else [ours, update]
    settings.MIDDLEWARE = [*around, *others, fetch]


@pytest.mark.parametrize("way", ["per view", "per site", "per site, before ours"])
@pytest.mark.parametrize("browsers", [Client, Through])
def test_django_s_caches_do_not_keep_it(page, settings, log_in, way, browsers):
    decorate = cache_page(600) if way == "per view" else lambda view: view
    if way != "per view":
        with_site_cache(settings, first="before" in way)
    page(TAG, decorate)
    both = [log_in(), log_in(get_user_model().objects.create_user("bob"))]
    for browser in both:
        browser.__class__ = browsers
    said = [browser.get("/page/").content for browser in both]
    assert said[0] != said[1]
    assert both[0].get("/page/").content != said[0]


@pytest.mark.parametrize("way", ["per view", "per site"])
def test_without_a_token_they_keep_it(page, settings, way):
    """Shows that the test above can fail."""
    decorate = cache_page(600) if way == "per view" else lambda view: view
    if way == "per site":
        with_site_cache(settings, first=False)
    page("{% load gatepost %}{{ now }}", decorate, now=lambda: time.time_ns())
    assert Client().get("/page/").content == Client().get("/page/").content


def test_a_template_that_is_rendered_late_is_not_kept_either(at, log_in, note, settings):
    template = engines["django"].from_string(TAG)

    @cache_page(600)
    def view(request):
        return TemplateResponse(request, template, {"note": note})

    at(page=view)
    browser = log_in()
    assert browser.get("/page/").content != browser.get("/page/").content


# The position


POSITION = {"Gatepost-Position": "5b2f0e6c.1"}
META = b'<meta name="gatepost" content="5b2f0e6c.1">'
#: Of no gateway: whoever names it is told to fetch the data again.
UNKNOWN = b'<meta name="gatepost" content="unknown.0">'


def test_a_view_knows_the_position_that_the_gateway_says(at):
    at(page=lambda request: JsonResponse({"said": request.gatepost.position}))
    assert Through().get("/page/", headers=POSITION).json() == {"said": "5b2f0e6c.1"}
    assert Through().get("/page/").json() == {"said": None}


@pytest.mark.parametrize("said", ["", "x", "1.2.3", '1."', "a" * 62 + ".1x", "1.é"])
def test_what_is_no_position_is_none(at, said):
    at(page=lambda request: JsonResponse({"said": request.gatepost.position}))
    assert Through().get("/page/", HTTP_GATEPOST_POSITION=said).json() == {"said": None}


def test_a_client_past_the_gateway_cannot_say_one(at):
    def view(request):
        return JsonResponse({"said": request.gatepost.position, "sent": dict(request.headers)})

    at(page=view)
    said = Client().get("/page/", headers=POSITION).json()
    assert said["said"] is None
    assert "Gatepost-Position" not in said["sent"]


def test_the_tag_hands_it_to_the_page(page):
    page("{% load gatepost %}{% gatepost %}")
    assert Through().get("/page/", headers=POSITION).content == META
    assert Client().get("/page/", headers=POSITION).content == UNKNOWN


@pytest.mark.parametrize("way", ["per view", "per site", "fragment"])
def test_a_page_that_is_kept_keeps_its_position(page, settings, way):
    source = "{% load gatepost %}{% gatepost %}"
    if way == "fragment":
        source = f"{{% load cache %}}{{% cache 600 x %}}{source}{{% endcache %}}"
    if way == "per site":
        with_site_cache(settings, first=False)
    page(source, cache_page(600) if way == "per view" else lambda view: view)
    assert Through().get("/page/", headers=POSITION).content == META
    later = {"Gatepost-Position": "5b2f0e6c.9"}
    assert Through().get("/page/", headers=later).content == META


def test_a_page_without_a_position_is_not_kept_for_those_who_have_one(page):
    page("{% load gatepost %}{% gatepost %}", cache_page(600))
    assert Client().get("/page/").content == UNKNOWN
    assert Through().get("/page/", headers=POSITION).content == META


def test_a_fragment_without_a_position_does_not_look_as_if_nothing_were_missing(page):
    """Somebody past the gateway, such as a health check, was the first to have it rendered."""
    page("{% load gatepost cache %}{% cache 600 x %}{% gatepost %}{% endcache %}")
    for browser in (Client(), Through()):
        assert browser.get("/page/", headers=POSITION).content == UNKNOWN


def test_a_page_with_a_position_may_be_shared(page):
    page("{% load gatepost %}{% gatepost %}", cache_control(public=True, max_age=60))
    said = Through().get("/page/", headers=POSITION)["Cache-Control"]
    assert "public" in said
