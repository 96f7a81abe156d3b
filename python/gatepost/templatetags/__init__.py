"""``{% load gatepost %}``."""
