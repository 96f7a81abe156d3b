"""Views of @gatepost.socket and the routes of gateway.toml: drafted, and compared both ways."""

import sys
from types import ModuleType

import pytest
from django.http import HttpResponse
from django.urls import include, path, re_path
from django.utils.decorators import method_decorator
from django.views import View

import gatepost
from gatepost.checks import sockets
from gatepost.program import socket_views


@gatepost.socket
def order(request, pk):
    return gatepost.listen("news")


@gatepost.socket(anonymous=True)
def auction(request, **given):
    return gatepost.listen("news")


@method_decorator(gatepost.socket, name="get")
class Room(View):
    def get(self, request, **given):
        return gatepost.listen("news")


def page(request):
    return HttpResponse()


@pytest.fixture
def urls(settings):
    """Let these patterns be the project's."""

    def be(*patterns):
        module = ModuleType("urls_of_a_test")
        module.urlpatterns = list(patterns)
        sys.modules[module.__name__] = module
        settings.ROOT_URLCONF = module

    return be


def paths():
    return [(view.path, view.anonymous) for view in socket_views.find()]


def test_a_path_of_djangos_becomes_a_route_with_braces(urls):
    urls(
        path("ws/", include([path("orders/<int:pk>/", order), path("<slug:room>/", auction)])),
        re_path(r"^ws/rooms/(?P<room>[\w-]+)/$", Room.as_view()),
        path("page/", page),
    )
    assert paths() == [
        ("/ws/orders/{pk}/", False),
        ("/ws/{room}/", True),
        ("/ws/rooms/{room}/", False),
    ]


def test_what_is_no_such_path_has_no_route(urls):
    urls(
        path("ws/<path:rest>/", order),
        path("ws/order-<int:pk>/", order),
        path("<int:pk>/", order),
        re_path(r"^ws/(\d+)/$", order),
    )
    assert paths() == [(None, False)] * 4


def warnings(monkeypatch, *routes):
    monkeypatch.setattr(sockets.gateway_toml, "socket_routes", lambda: list(routes))
    return [(found.id, found.hint) for found in sockets.check_views()]


def test_each_view_needs_a_route_and_each_route_a_view(urls, monkeypatch):
    urls(path("ws/orders/<int:pk>/", order))
    usual = {"path": "/ws/notifications/"}
    asked = {"path": "/ws/orders/{number}/", "view": True}
    assert warnings(monkeypatch) == []
    assert warnings(monkeypatch, usual, asked) == []
    missing = '[[sockets]] path = "/ws/orders/{pk}/" view = true'
    assert warnings(monkeypatch, usual) == [("gatepost.W044", missing)]
    other = {"path": "/ws/order/{pk}/", "view": True}
    found = [name for name, _ in warnings(monkeypatch, asked, other)]
    assert found == ["gatepost.W045"]
    urls(path("ws/<path:rest>/", order))
    assert [name for name, _ in warnings(monkeypatch, asked)] == ["gatepost.W044"]
