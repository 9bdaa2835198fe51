"""Benchmark of this machine: images/s of each stage and of an ingest, the limit, and advice."""
