"""Passages that match a question, and answers that cite them."""
