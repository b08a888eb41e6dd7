"""From pixels to features and results."""
