from django.contrib.auth import logout
from django.db import transaction
from django.http import HttpResponse

from gatepost import Group, notify


def pay(request, order):
    with transaction.atomic():
        notify(request.user, {"type": "order_paid", "order": order})
        notify(Group("warehouse"), {"type": "to_pack", "order": order})
    return HttpResponse("paid")


def cancel(request, order):
    try:
        with transaction.atomic():
            notify(request.user, {"type": "order_cancelled", "order": order})
            raise ValueError("too late")
    except ValueError:
        return HttpResponse("too late", status=409)


def leave(request):
    logout(request)
    return HttpResponse("bye")
