"""What the page may send."""

from django import forms
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group as AuthGroup
from gatepost import Everyone, Group


class NotificationForm(forms.Form):
    """A notification, and whom it is for: `everyone`, `user:NAME` or `group:NAME`."""

    to = forms.CharField(max_length=160)
    title = forms.CharField(max_length=80)
    message = forms.CharField(max_length=500)

    def clean_to(self):
        """Turns the choice into what `gatepost.notify` takes."""
        kind, _, name = self.cleaned_data["to"].partition(":")
        if kind == "everyone":
            return Everyone
        if kind == "user":
            user = get_user_model().objects.filter(username=name, is_active=True).first()
            if user is None:
                raise forms.ValidationError(f"There is no user “{name}”.")
            return user
        if kind == "group":
            if not AuthGroup.objects.filter(name=name).exists():
                raise forms.ValidationError(f"There is no group “{name}”.")
            return Group(name)
        raise forms.ValidationError("Choose a user, a group or everyone.")
