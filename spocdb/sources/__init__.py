"""Where images come from: files, URLs and rows of attached tables."""
