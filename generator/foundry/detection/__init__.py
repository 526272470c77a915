"""The demonstration detector: scenes that are drawn, a small network fitted to them, and its measured quality."""
