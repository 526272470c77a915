"""Pictures: reading them safely, finding objects in them."""
