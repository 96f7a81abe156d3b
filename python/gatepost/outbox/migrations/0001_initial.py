"""Both tables."""

from typing import Any, ClassVar

from django.db import migrations, models

from gatepost.outbox.models import Kind, new_name, now


class Migration(migrations.Migration):
    """Makes them."""

    initial = True
    dependencies: ClassVar[list[tuple[str, str]]] = []
    operations: ClassVar[list[Any]] = [
        migrations.CreateModel(
            name="Item",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("seq", models.BigIntegerField(editable=False, null=True, unique=True)),
                (
                    "uid",
                    models.CharField(default=new_name, editable=False, max_length=32, unique=True),
                ),
                ("kind", models.CharField(choices=Kind.choices, max_length=16)),
                ("body", models.TextField()),
                ("name", models.TextField(blank=True, default="")),
                ("created", models.BigIntegerField(default=now)),
                ("expires", models.BigIntegerField(blank=True, null=True)),
            ],
            options={"verbose_name": "item", "db_table": "gatepost_outbox_item"},
        ),
        migrations.CreateModel(
            name="Sequencer",
            fields=[
                ("name", models.CharField(max_length=32, primary_key=True, serialize=False)),
                ("value", models.BigIntegerField(default=0)),
                ("epoch", models.CharField(default=new_name, max_length=32)),
            ],
            options={"db_table": "gatepost_outbox_sequencer"},
        ),
    ]
