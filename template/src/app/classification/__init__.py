"""Labels for texts: the caller's own, by likeness, or those of a classifier that the operator registers."""
