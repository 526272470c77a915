"""Checks on what goes into a language model and on what comes out of it."""
