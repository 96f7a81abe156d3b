from django.urls import include, path

from project import views

urlpatterns = [
    path("_gatepost/", include("gatepost.urls")),
    path("", views.home),
    path("notify/", views.notify_then_fail),
    path("seen/", views.seen),
    path("seen/<path:rest>", lambda request, rest: views.seen(request)),
    path("members/", views.members),
    path("logout/", views.log_out),
]
