"""The settings of a Channels project that has changed its layer, and nothing else."""

import os

from project.settings import *  # noqa: F403

ROOT_URLCONF = "newsroom.urls"
ASGI_APPLICATION = "newsroom.routing.application"
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "gatepost.channels.GatepostChannelLayer",
        "CONFIG": {
            "RENDER": {
                "user_*": "newsroom.consumers.NotificationConsumer",
                "dashboard": "newsroom.consumers.DashboardConsumer",
                "task_updates": "newsroom.consumers.TaskConsumer",
                "admin_notifications": "newsroom.consumers.FeedConsumer",
            }
        },
    }
}
GATEPOST = {
    "SECRET": os.environ.get("GATEPOST_SECRET", "a-shared-secret-of-at-least-32-bytes"),
    "URL": os.environ.get("NEWSROOM_GATEWAY", "http://127.0.0.1:1"),
}
