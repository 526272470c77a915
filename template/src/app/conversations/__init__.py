"""Conversations with a language model that the service remembers."""
