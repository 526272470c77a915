"""Documents from upload to searchable passages."""
