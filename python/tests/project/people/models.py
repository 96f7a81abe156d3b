import uuid

from django.contrib.auth.models import AbstractUser
from django.db import models


class Person(AbstractUser):
    """A user whose key is a UUID."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)

    class Meta:
        swappable = "AUTH_USER_MODEL"


class Note(models.Model):
    """A model that is no user."""

    text = models.TextField(default="")
