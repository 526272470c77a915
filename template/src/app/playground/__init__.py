"""A page to try the service in."""
