"""`manage.py demo_orders`: the order of the demo's second page, as it should be."""

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand

from shop.models import Order


class Command(BaseCommand):
    """Makes bob's order, and has it begin anew: who packed it the last time is gone."""

    help = "Makes the demo's order."

    def handle(self, *args, **options):
        """Finds the order of a run before this one."""
        bob = get_user_model().objects.get(username="bob")
        order, _ = Order.objects.get_or_create(customer=bob, title="Two rye loaves")
        Order.objects.filter(pk=order.pk).update(status=Order.Status.PLACED, packed=0)
