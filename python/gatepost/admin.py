"""In the admin: who is connected, a test message, and closing sockets.

The page asks the gateway each time it is shown. Where no gateway can be reached, the page says so.

The users' own admin gets an action by ``actions = [gatepost.admin.disconnect]``.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, timezone
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth import get_permission_codename, get_user_model
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, path, reverse
from django.views.decorators.http import require_POST

from gatepost.models import Connection
from gatepost.sending import client, operations, targets
from gatepost.sending.calls import encode
from gatepost.signing.topics import LONGEST, is_name

#: More are not shown: the page is for finding somebody, not for reading all.
MOST_SHOWN = 500

_REASON = "closed by an administrator"
_LONGEST_FRAME = 16 * 1024


class TestMessage(forms.Form):
    """A frame for a user, a group, a topic or everyone."""

    to = forms.ChoiceField(
        choices=[(kind, kind) for kind in ("user", "group", "topic", "everyone")]
    )
    name = forms.CharField(
        required=False,
        max_length=LONGEST,
        label="who",
        help_text="A user's name or key, a group's name, or a topic's, such as shop.order:17.",
    )
    frame = forms.JSONField(
        initial={"type": "test", "message": "Hello"},
        widget=forms.Textarea(attrs={"rows": 3, "cols": 60}),
        help_text="What the page gets: any JSON.",
    )

    def audience(self) -> dict[str, Any]:
        """Return the target as the gateway's API names it."""
        kind, name = self.cleaned_data["to"], self.cleaned_data["name"]
        if kind == "everyone":
            return {"everyone": True}
        return {kind: _user_key(name) if kind == "user" else name}

    def clean_frame(self) -> Any:
        """Refuse what Python reads as JSON though it is none: NaN, or 1e999."""
        frame = self.cleaned_data["frame"]
        try:
            encode(frame)
        except ValueError as error:
            raise ValidationError(f"This is not JSON: {error}.") from error
        return frame

    def clean(self) -> dict[str, Any]:
        """Refuse a message without a target."""
        said: dict[str, Any] = super().clean() or self.cleaned_data
        kind, name = said.get("to"), str(said.get("name") or "")
        if kind in ("user", "group", "topic") and not name:
            self.add_error("name", f"Name the {kind}.")
        elif kind == "user" and _user_key(name) is None:
            self.add_error("name", "There is no such user.")
        elif kind == "topic" and not is_name(name):
            self.add_error("name", "This is not the name of a topic.")
        return said


@admin.register(Connection)
class ConnectionAdmin(admin.ModelAdmin):
    """The page; each thing that can be done there asks for its own permission."""

    change_list_template = "admin/gatepost/connection/change_list.html"

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Only browsers make connections."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """There is nothing that could be changed."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """They are disconnected, which is a permission of its own."""
        return False

    def may(self, request: HttpRequest, action: str) -> bool:
        """Return whether the person may ``disconnect`` or ``publish``."""
        name = get_permission_codename(action, self.opts)
        return bool(request.user.has_perm(f"{self.opts.app_label}.{name}"))

    def get_urls(self) -> list[Any]:
        """Return the page and what is posted from it; there is no page of a single connection."""
        view = self.admin_site.admin_view
        return [
            path("", view(self.changelist_view), name="gatepost_connection_changelist"),
            path("disconnect/", view(require_POST(self.disconnect)), name="gatepost_disconnect"),
            path("publish/", view(require_POST(self.publish)), name="gatepost_publish"),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Show who is connected: all, those of one user, or those who listen to a topic."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        return self._page(request, TestMessage())

    def disconnect(self, request: HttpRequest) -> HttpResponse:
        """Close the chosen connections, or all of one user."""
        if not self.may(request, "disconnect"):
            raise PermissionDenied
        user = request.POST.get("user")
        who = [{"connection": one} for one in request.POST.getlist("connection")[:MOST_SHOWN]]
        _close(request, [{"user": user}] if user else who)
        return self._back(request)

    def publish(self, request: HttpRequest) -> HttpResponse:
        """Send a test message; show the form again where it is wrong."""
        if not self.may(request, "publish"):
            raise PermissionDenied
        form = TestMessage(request.POST)
        if not form.is_valid():
            return self._page(request, form)
        try:
            sent = operations.publish(form.audience(), form.cleaned_data["frame"])
        except client.GatewayError as error:
            messages.error(request, str(error))
        else:
            sockets = "1 socket" if sent.sockets == 1 else f"{sent.sockets} sockets"
            messages.success(request, f"The message was sent to {sockets}.")
        return self._back(request)

    def _page(self, request: HttpRequest, form: TestMessage) -> HttpResponse:
        wanted, topic = request.GET.get("user", ""), request.GET.get("topic", "")
        user = _user_key(wanted) if wanted else None
        found: list[dict[str, Any]] = []
        if wanted and user is None:
            messages.warning(request, f"There is no user {wanted!r}.")
        elif topic and not is_name(topic):
            messages.warning(request, f"{topic!r} is not the name of a topic.")
        else:
            try:
                found = operations.connections(user, topic=topic or None)
            except client.GatewayError as error:
                messages.error(request, str(error))
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "Who is connected",
            "connections": list(_rows(found[-MOST_SHOWN:])),
            "total": len(found),
            "wanted": wanted,
            "topic": topic,
            "user_key": user,
            "form": form,
            "may_disconnect": self.may(request, "disconnect"),
            "may_publish": self.may(request, "publish"),
        }
        request.current_app = self.admin_site.name
        return TemplateResponse(request, self.change_list_template, context)

    def _back(self, request: HttpRequest) -> HttpResponse:
        where = reverse("admin:gatepost_connection_changelist", current_app=self.admin_site.name)
        return HttpResponseRedirect(where)


@admin.action(description="Close the sockets of the selected users")
def disconnect(modeladmin: Any, request: HttpRequest, queryset: Any) -> None:
    """Close the users' sockets: an action for the admin of the users."""
    if not request.user.has_perm("gatepost.disconnect_connection"):
        raise PermissionDenied
    users = (targets.user_id(user) for user in queryset)
    _close(request, [{"user": user} for user in users])


def _close(request: HttpRequest, who: Iterable[dict[str, Any]]) -> None:
    closed = 0
    try:
        for one in who:
            closed += operations.revoke(one, reason=_REASON)
    except client.GatewayError as error:
        messages.error(request, str(error))
    else:
        said = "1 socket was closed." if closed == 1 else f"{closed} sockets were closed."
        messages.success(request, said)


def _user_key(name: str) -> str | None:
    """Return the id of the user of this name or, failing that, of this primary key."""
    users = get_user_model()
    manager = users._default_manager
    try:
        return targets.user_id(manager.get_by_natural_key(name))
    except users.DoesNotExist:
        pass
    try:
        found = manager.filter(pk=name).first()
    except (ValueError, OverflowError, ValidationError):
        return None
    return targets.user_id(found) if found is not None else None


def _rows(found: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the connections, the newest first, with the names of their users."""
    users = _users({str(one["user"]) for one in found if one.get("user") is not None})
    for one in reversed(found):
        user = users.get(str(one.get("user")))
        since = one.get("since")
        yield {
            **one,
            "name": _name(one, user),
            "page": _page_of(user) if user is not None else None,
            "since": datetime.fromtimestamp(int(since), tz=timezone.utc) if since else None,
        }


def _name(connection: dict[str, Any], user: Any) -> str:
    if user is not None:
        return str(user.get_username())
    key = connection.get("user")
    return operations.VISITOR if key is None else str(key)


def _users(keys: set[str]) -> dict[str, Any]:
    """Return users by id, without those that were deleted meanwhile."""
    users = get_user_model()
    known = []
    for key in keys:
        try:
            known.append(users._meta.pk.to_python(key))
        except ValidationError:
            continue
    found = users._default_manager.in_bulk(known)
    return {str(targets.user_id(user)): user for user in found.values()}


def _page_of(user: Any) -> str | None:
    opts = user._meta
    try:
        return reverse(f"admin:{opts.app_label}_{opts.model_name}_change", args=[user.pk])
    except NoReverseMatch:
        return None
