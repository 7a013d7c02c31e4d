"""Likewise."""

TITLE = "weekly"
