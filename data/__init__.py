"""Videos up to the pixels the network sees."""
