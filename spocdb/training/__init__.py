"""Training: distillation of a small network from a large one, and fine-tuning to a domain."""
