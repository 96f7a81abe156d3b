"""Who may listen to orders: asked again for as long as their pages are open."""

from django.contrib.auth import get_user_model
from django.db.models import Q


def may_follow(user_ids, pk):
    """Of these users, those who may see the order: its customer, and staff."""
    users = get_user_model().objects.filter(Q(order=pk) | Q(is_staff=True), is_active=True)
    return {str(user) for user in users.filter(pk__in=user_ids).values_list("pk", flat=True)}
