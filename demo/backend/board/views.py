"""The page's two calls: who am I, and send a notification."""

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.http import JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_GET, require_POST
from gatepost import notify

from .forms import NotificationForm


@require_GET
@never_cache
@ensure_csrf_cookie
def me(request):
    """Says who is logged in and, to them, whom they can write to."""
    user = request.user
    if not user.is_authenticated:
        return JsonResponse({"user": None, "users": [], "groups": []})
    names = get_user_model().objects.filter(is_active=True).order_by("username")
    return JsonResponse(
        {
            "user": {
                "name": user.get_username(),
                "staff": user.is_staff,
                "groups": list(user.groups.values_list("name", flat=True)),
            },
            "users": list(names.values_list("username", flat=True)),
            "groups": list(Group.objects.order_by("name").values_list("name", flat=True)),
        }
    )


@require_POST
def send(request):
    """Sends a notification to whom the form names; Django's CSRF check applies as to any form."""
    if not request.user.is_authenticated:
        return JsonResponse({"error": "Log in first."}, status=401)
    form = NotificationForm(request.POST)
    if not form.is_valid():
        return JsonResponse({"errors": form.errors.get_json_data()}, status=400)
    sent = form.cleaned_data
    notify(
        sent["to"],
        {
            "type": "notification",
            "title": sent["title"],
            "message": sent["message"],
            "from": request.user.get_username(),
        },
    )
    return JsonResponse({"sent": True}, status=202)
