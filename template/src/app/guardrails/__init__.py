"""Checks on the input and the output of language models."""
