"""The demo's paths, and the probes."""

from django.urls import path

from demosite.urls import urlpatterns as demo

from . import sockets, streams, views

urlpatterns = [
    *demo,
    path("api/probe/request/", views.request_as_seen),
    path("api/probe/upload/", views.upload),
    path("api/probe/download/", views.download),
    path("api/probe/text/", views.text),
    path("api/probe/gzipped/", views.gzipped),
    path("api/probe/pieces/", views.pieces),
    path("api/probe/slow/", views.slow),
    path("api/probe/patient/", views.patient),
    path("api/probe/tell/", views.tell),
    path("api/probe/cookies/", views.cookies),
    path("api/probe/strict/", views.strict),
    path("api/jobs/<str:job>/events/", streams.events),
    path("api/jobs/<str:job>/mine/", streams.mine),
    path("api/jobs/<str:job>/brief/", streams.brief),
    path("api/jobs/<str:job>/say/", streams.say),
    path("api/jobs/<str:job>/<str:client>/", streams.page),
    path("api/assets/<str:name>", streams.asset),
    path("ws/groups/<int:pk>/", sockets.group),
    path("ws/outside/<int:pk>/", sockets.login_outside),
    path("ws/inside/<int:pk>/", sockets.login_inside),
    path("ws/permitted/<int:pk>/", sockets.permitted),
    path("ws/mixed/<int:pk>/", sockets.Mixed.as_view()),
    path("ws/public/<int:pk>/", sockets.public),
]
