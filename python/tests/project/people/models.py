import uuid

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
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


class Team(models.Model):
    """What a Member is in, instead of Django's groups."""

    name = models.CharField(max_length=50)


class Membership(models.Model):
    """Between them, with a model of its own."""

    member = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE)
    team = models.ForeignKey(Team, models.CASCADE)


class Member(AbstractBaseUser):
    """A user model with a relation of its own, for test_users_of_ones_own.py."""

    username = models.CharField(max_length=50, unique=True)
    left_at = models.DateTimeField(null=True)
    points = models.IntegerField(default=0)
    groups = models.ManyToManyField(Team, through=Membership)

    objects = BaseUserManager()
    USERNAME_FIELD = "username"

    class Meta:
        swappable = "AUTH_USER_MODEL"

    @property
    def is_active(self):
        return self.left_at is None
