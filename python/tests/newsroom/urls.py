from django.urls import include, path

from newsroom import producers

urlpatterns = [
    path("_gatepost/", include("gatepost.urls")),
    path("view/", producers.view),
    path("async-view/", producers.async_view),
]
