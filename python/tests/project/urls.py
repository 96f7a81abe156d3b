from django.urls import include, path

from project import views

urlpatterns = [
    path("_gatepost/", include("gatepost.urls")),
    path("", views.home),
    path("notify/", views.notify_then_fail),
    path("logout/", views.log_out),
]
