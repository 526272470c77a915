"""Reranking of documents by cross-encoders that the operator registers."""
