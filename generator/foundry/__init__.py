"""Builds the demonstration models that the template ships; development only, never part of the wheel."""
