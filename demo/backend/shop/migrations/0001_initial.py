"""The first version of the table."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

STATUSES = [
    ("placed", "Placed"),
    ("packing", "Being packed"),
    ("packed", "Packed"),
    ("sent", "On its way"),
    ("delivered", "Delivered"),
]


class Migration(migrations.Migration):
    """Orders."""

    initial = True

    dependencies = [migrations.swappable_dependency(settings.AUTH_USER_MODEL)]

    operations = [
        migrations.CreateModel(
            name="Order",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("title", models.CharField(max_length=80)),
                (
                    "status",
                    models.CharField(choices=STATUSES, default="placed", max_length=12),
                ),
                ("packed", models.PositiveSmallIntegerField(default=0)),
                (
                    "customer",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, to=settings.AUTH_USER_MODEL
                    ),
                ),
            ],
        ),
    ]
