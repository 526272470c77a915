"""Probes for orchestrators and operators."""
