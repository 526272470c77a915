"""Extraction of data from texts into the caller's JSON Schema."""
