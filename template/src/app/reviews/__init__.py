"""Human review of outputs before they are released."""
