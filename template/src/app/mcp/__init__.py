"""The service as tools for AI assistants (Model Context Protocol)."""
