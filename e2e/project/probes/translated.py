"""Gatepost's paths among those that begin with a language."""

from django.conf.urls.i18n import i18n_patterns
from django.urls import include, path

urlpatterns = i18n_patterns(path("_gatepost/", include("gatepost.urls")))
