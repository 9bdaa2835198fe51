"""A collection on several servers: each image is on the one that its content's sha256 names."""
