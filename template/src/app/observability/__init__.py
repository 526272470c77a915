"""Logs and request identifiers."""
