"""What the admin and the permissions call a connection; nothing is stored.

The model has no table and needs no migration. It gives the page of ``admin`` its place and its
permissions, which ``migrate`` makes as for every model.
"""

from django.db import models


class Connection(models.Model):
    """One client that the gateway holds at this moment."""

    id = models.CharField(primary_key=True, max_length=64)

    class Meta:
        """Unmanaged, and with permissions for what can be done here."""

        managed = False
        default_permissions = ("view",)
        permissions = (
            ("disconnect_connection", "Can close sockets"),
            ("publish_connection", "Can send test messages"),
        )
