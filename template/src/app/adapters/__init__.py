"""Technology behind the ports: one file per port, named after the role it plays."""
