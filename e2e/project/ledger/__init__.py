"""A project that writes entries and publishes each in the same transaction."""
