"""The admin, the stock login form, a page with a socket, and the auth view or the package."""

from django.conf import settings
from django.contrib import admin
from django.contrib.auth.views import LoginView
from django.urls import include, path

from . import views

urlpatterns = [
    path("admin/", admin.site.urls),
    path("login/", LoginView.as_view(template_name="admin/login.html")),
    path("page/", views.page),
    path("write/", views.write),
    path("end-soon/", views.end_soon),
    path("leave/", views.leave),
    path("namesake/", views.namesake),
    path("bye/", views.bye),
]
if settings.PACKAGE:
    urlpatterns.append(path("_gatepost/", include("gatepost.urls")))
    urlpatterns.append(path("seam/", include("stock.seam")))
else:
    urlpatterns.append(path("whoami/", views.whoami))
