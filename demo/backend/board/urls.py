"""The board's two calls."""

from django.urls import path

from . import views

urlpatterns = [
    path("me/", views.me, name="me"),
    path("notify/", views.send, name="notify"),
]
