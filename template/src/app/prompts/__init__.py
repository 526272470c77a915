"""Stored prompts in versions, which operators activate."""
