"""Technology behind the ports; modules are named after the role they play."""
