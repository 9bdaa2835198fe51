"""Training: a small network learns from a large one, or a network learns a domain of its own."""
