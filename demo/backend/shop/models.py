"""An order, which tells whoever looks at it how it stands."""

from django.conf import settings
from django.db import models
from gatepost import Topic, notify


class Order(models.Model):
    """What somebody has ordered."""

    class Status(models.TextChoices):
        """From first to last."""

        PLACED = "placed", "Placed"
        PACKING = "packing", "Being packed"
        PACKED = "packed", "Packed"
        SENT = "sent", "On its way"
        DELIVERED = "delivered", "Delivered"

    customer = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    title = models.CharField(max_length=80)
    status = models.CharField(max_length=12, choices=Status.choices, default=Status.PLACED)
    #: How much of it is packed, of a hundred.
    packed = models.PositiveSmallIntegerField(default=0)

    def __str__(self):
        return f"order {self.pk}: {self.title}"

    def save(self, **kwargs):
        """Tells the open pages, whoever saves it: the admin, too. Of a new order there are none."""
        is_new = self._state.adding
        super().save(**kwargs)
        if not is_new:
            self.tell()

    def tell(self):
        """Says how it stands, to all pages that listen to it."""
        notify(Topic(self), self.state(), event="order")

    def state(self):
        """What a page shows of it."""
        following = {
            self.Status.PLACED: "Pack it",
            self.Status.PACKED: "Send it",
            self.Status.SENT: "Deliver it",
            self.Status.DELIVERED: "Start over",
        }
        return {
            "status": self.status,
            "packed": self.packed,
            "next": following.get(self.status),
        }

    def move_on(self):
        """Goes from this status to the next. False where somebody else was faster."""
        order = list(self.Status)
        following = order[(order.index(self.status) + 1) % len(order)]
        packed = 0 if following in (self.Status.PLACED, self.Status.PACKING) else self.packed
        same = Order.objects.filter(pk=self.pk, status=self.status)
        if not same.update(status=following, packed=packed):
            return False
        self.status, self.packed = following, packed
        self.tell()
        return True
