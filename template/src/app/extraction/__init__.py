"""Data from texts, in the shape of a JSON Schema that the caller brings."""
