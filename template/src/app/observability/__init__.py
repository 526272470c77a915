"""Logs, metrics, traces, and an identifier for each request."""
