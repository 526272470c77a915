"""Accounts as operators look after them: shown, locked, deleted with all that belongs to them."""
