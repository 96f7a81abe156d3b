"""``path("_gatepost/", include("gatepost.urls"))``."""

from django.apps import apps
from django.urls import path

from gatepost.answering import batches, hosts, views

app_name = "gatepost"

urlpatterns = [
    path("auth/", views.auth, name="auth"),
    path("sessions/", batches.sessions, name="sessions"),
    path("hosts/", hosts.hosts, name="hosts"),
]

if apps.is_installed("gatepost.outbox"):
    from gatepost.outbox.views import outbox

    urlpatterns.append(path("outbox/", outbox, name="outbox"))
