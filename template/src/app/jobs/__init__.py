"""Durable background jobs: stored in SQL, dispatched through a queue, claimed by workers."""
