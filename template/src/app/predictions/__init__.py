"""What models told callers, kept for a while."""
