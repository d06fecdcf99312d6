"""The losses of the two training stages."""
