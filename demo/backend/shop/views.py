"""The order's page, and what it asks for. Who may render the page may listen to it."""

import gatepost
from django.contrib.admin.views.decorators import staff_member_required
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from . import packing
from .models import Order


def orders_of(user):
    """Customers see theirs, staff all."""
    return Order.objects.all() if user.is_staff else Order.objects.filter(customer=user)


@require_GET
@login_required
def newest(request):
    """Leads to an order."""
    order = orders_of(request.user).order_by("-pk").first()
    return redirect("order", order.pk) if order else redirect("/")


@require_GET
@login_required
def page(request, pk):
    """Shows an order, with a token for its topic."""
    order = get_object_or_404(orders_of(request.user), pk=pk)
    return render(request, "shop/order.html", {"order": order})


@require_GET
@never_cache
@login_required
def state(request, pk):
    """Says how the order stands now, to a page that has missed something."""
    return JsonResponse(get_object_or_404(orders_of(request.user), pk=pk).state())


@require_GET
@login_required
def progress(request, pk):
    """Hands the progress bar's stream over to the gateway."""
    order = get_object_or_404(orders_of(request.user), pk=pk)
    if order.status != Order.Status.PACKING:
        return HttpResponse(status=204)  # Over: the browser does not come back.
    return gatepost.stream(packing.topic(order), first=[{"packed": order.packed}])


@require_POST
@staff_member_required
def move_on(request, pk):
    """Takes the order one step further; of two clicks at once one counts."""
    order = get_object_or_404(Order, pk=pk)
    if order.state()["next"] and order.move_on() and order.status == Order.Status.PACKING:
        packing.begin(order)
    return HttpResponse(status=204)
