"""Account management for operators: show, lock and delete accounts with all their data."""
