"""The numerics: from RGB to a raw descriptor, from raw descriptors to embeddings. No database."""
