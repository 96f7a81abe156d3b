"""A single-page application whose page answers every path, Gatepost's included."""

from django.http import HttpResponse
from django.urls import re_path


def index(request):
    """The application's page."""
    return HttpResponse("<!doctype html><div id=root></div>")


urlpatterns = [re_path("", index)]
