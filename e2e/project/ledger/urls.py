"""Nothing but what the gateway asks for."""

from django.urls import include, path

urlpatterns = [path("_gatepost/", include("gatepost.urls"))]
