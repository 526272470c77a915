"""Reranking of documents with registered cross-encoders."""
