"""Recorded predictions of models, kept for a while."""
