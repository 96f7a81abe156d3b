"""Starts the real programs on free ports and stops them by their own pids."""
