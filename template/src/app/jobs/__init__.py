"""Durable work: recorded in SQL, carried by a queue, claimed by workers."""
