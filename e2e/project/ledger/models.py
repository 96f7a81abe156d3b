"""What the business is about: each committed entry must reach the browsers, and no other."""

from django.db import models


class Entry(models.Model):
    """One line of the ledger."""

    writer = models.IntegerField()
    number = models.IntegerField()

    class Meta:
        """An entry is made once."""

        unique_together = [("writer", "number")]
