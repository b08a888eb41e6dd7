"""From pixels to features, and features on disk."""
