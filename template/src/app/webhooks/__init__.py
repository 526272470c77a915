"""Webhooks: HTTP notifications of events to endpoints that owners register."""
