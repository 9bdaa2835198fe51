"""Evaluation of retrieval: benchmarks with their official protocols, comparison of methods."""
