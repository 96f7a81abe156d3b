"""`manage.py demo_users`: the accounts that `make demo` prints, as they should be."""

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.management.base import BaseCommand

ACCOUNTS = [
    # name, password, may use the admin, groups
    ("ann", "ann-gatepost", True, ["staff"]),
    ("bob", "bob-gatepost", False, []),
]


class Command(BaseCommand):
    """Makes `ann` and `bob`, and the group `staff` with ann in it."""

    help = "Makes the demo's users and its group."

    def handle(self, *args, **options):
        """Sets a password only where it differs: setting it again would end the user's sessions."""
        for name, password, staff, groups in ACCOUNTS:
            user, _ = get_user_model().objects.get_or_create(username=name)
            user.is_staff = user.is_superuser = staff
            user.is_active = True
            if not user.check_password(password):
                user.set_password(password)
            user.save()
            user.groups.set([Group.objects.get_or_create(name=group)[0] for group in groups])
