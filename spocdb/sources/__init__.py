"""Where images come from: files, and rows of attached tables, which may name URLs."""
