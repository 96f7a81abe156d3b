"""The order's paths."""

from django.urls import path

from . import views

urlpatterns = [
    path("", views.newest, name="orders"),
    path("<int:pk>/", views.page, name="order"),
    path("<int:pk>/state/", views.state, name="order-state"),
    path("<int:pk>/progress/", views.progress, name="order-progress"),
    path("<int:pk>/next/", views.move_on, name="order-next"),
]
