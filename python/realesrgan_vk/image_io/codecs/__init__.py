"""Picture formats: pixels to and from a file, and the conversion of their colours."""
