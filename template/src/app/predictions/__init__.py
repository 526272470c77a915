"""Optional recording of models' predictions, with limited retention."""
