"""The demo's paths: stock admin, login and logout, the board's API, orders, and Gatepost's own."""

from django.contrib import admin
from django.contrib.auth import views as auth
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("accounts/login/", auth.LoginView.as_view(redirect_authenticated_user=True), name="login"),
    path("accounts/logout/", auth.LogoutView.as_view(), name="logout"),
    path("api/", include("board.urls")),
    path("orders/", include("shop.urls")),
    path("_gatepost/", include("gatepost.urls")),
]
