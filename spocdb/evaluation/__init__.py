"""How good retrieval is: benchmarks by their official protocols, methods beside each other."""
