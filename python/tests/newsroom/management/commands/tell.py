from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand

from newsroom.producers import tell


class Command(BaseCommand):
    help = "Tells a user something."

    def add_arguments(self, parser):
        parser.add_argument("user")
        parser.add_argument("message")

    def handle(self, *args, **options):
        tell(get_user_model()(pk=options["user"]), options["message"])
