"""The blocks that files are made of, as bytes: no pixels are decoded."""
