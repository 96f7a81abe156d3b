from django.urls import include, path

from shop import views

urlpatterns = [
    path("_gatepost/", include("gatepost.urls")),
    path("orders/<int:order>/pay/", views.pay),
    path("orders/<int:order>/cancel/", views.cancel),
    path("leave/", views.leave),
]
