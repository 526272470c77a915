"""Text classification: the caller's labels, by similarity of embeddings, or those of a registered classifier."""
