"""``path("_gatepost/", include("gatepost.urls"))``."""

from django.urls import path

from gatepost import views

app_name = "gatepost"

urlpatterns = [
    path("auth/", views.auth, name="auth"),
    path("sessions/", views.sessions, name="sessions"),
]
