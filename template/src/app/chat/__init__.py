"""Chat completions, and the port that every language model implements."""
