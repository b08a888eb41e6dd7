"""Videos, up to the pixels that the network sees."""
