"""Numerics: RGB -> raw descriptor -> embedding. No database."""
