"""From images in a source to descriptors in a sink: prefetch, decode, network, writing."""
