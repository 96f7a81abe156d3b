"""The demo's paths, and the probes."""

from django.urls import path

from demosite.urls import urlpatterns as demo

from . import views

urlpatterns = [
    *demo,
    path("api/probe/request/", views.request_as_seen),
    path("api/probe/upload/", views.upload),
    path("api/probe/download/", views.download),
    path("api/probe/slow/", views.slow),
    path("api/probe/cookies/", views.cookies),
    path("api/probe/strict/", views.strict),
]
