"""What models are told, in versions that an operator can switch."""
