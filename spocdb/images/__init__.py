"""Safe decoding of image files to RGB."""
