"""Benchmarks of spocdb and its peers: ratios within one run, as machines and their load differ."""
