"""Documents in the order of their relevance to a query, by cross-encoders that the operator registers."""
