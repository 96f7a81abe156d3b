"""Orders in the admin: a status that is changed there shows on the open pages at once."""

from django.contrib import admin

from .models import Order


@admin.register(Order)
class OrderAdmin(admin.ModelAdmin):
    """A list with the status."""

    list_display = ("title", "customer", "status")
