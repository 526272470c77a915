"""Calls to owners' own servers when something of theirs has ended."""
