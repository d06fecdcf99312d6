"""The metadata of a file, and the part of it that a result keeps."""
