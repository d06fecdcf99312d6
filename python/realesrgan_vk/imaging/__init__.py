"""Pixel arithmetic on arrays; no files."""
