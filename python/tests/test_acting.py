"""Acting as another user while the session stays: the guide's receivers (docs/sessions.md)."""

import pytest
from django.contrib.auth import get_user_model
from django.dispatch import Signal
from django.http import HttpResponse
from through import Through, riding

import fakes
from gatepost import Session, recheck
from gatepost.signing.digest import session_digest

pytestmark = pytest.mark.django_db(transaction=True)

session_begin = Signal()


def ask_again(sender, request, **kwargs):
    recheck(Session(request))


class Acting:
    """A middleware that replaces the user, as django-impersonate's does."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        acting_as = request.session.get("acting_as")
        if acting_as:
            request.user = get_user_model().objects.get(pk=acting_as)
        return self.get_response(request)


def begin(request):
    other = get_user_model().objects.get(username="other")
    request.session["acting_as"] = str(other.pk)
    session_begin.send(sender=None, request=request)
    return HttpResponse()


def test_the_question_rides_on_the_response_and_the_answer_is_the_other_user(
    at, ask, gateway, log_in, settings
):
    at(begin=begin)
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, f"{__name__}.Acting"]
    settings.GATEPOST = {**settings.GATEPOST, "USER_RESOLVER": "request"}
    session_begin.connect(ask_again, weak=False)
    other = get_user_model().objects.create_user("other")
    browser = Through()
    browser.cookies = log_in().cookies
    key = browser.cookies["sessionid"].value

    response = browser.get("/begin/")

    named = session_digest(fakes.SECRET.encode(), key)
    assert riding(response, "Revoke") == [{"session": named, "recheck": True}]
    assert ask(key).json()["user"] == str(other.pk)
