"""Packs an order: some seconds of work, told while it is done.

A project would have a task queue do it.
"""

import threading
import time

from django.db import connection
from gatepost import Topic, notify

from .models import Order

STEPS = 20
PAUSE = 0.2


def topic(order):
    """What the progress bar listens to."""
    return Topic(f"packing/{order.pk}")


def begin(order):
    """Packs it beside the request."""
    threading.Thread(target=pack, args=[order], daemon=True).start()


def pack(order):
    """Says after each step how far it is, and ends the bars with the last one."""
    for step in range(1, STEPS + 1):
        time.sleep(PAUSE)
        order.packed = 100 * step // STEPS
        Order.objects.filter(pk=order.pk).update(packed=order.packed)
        notify(topic(order), {"packed": order.packed}, end=step == STEPS)
    order.move_on()
    connection.close()
