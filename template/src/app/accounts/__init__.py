"""Operators' work on accounts: show, lock and delete them with all their data."""
