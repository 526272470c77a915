"""Accounts, API keys and authentication of callers."""
