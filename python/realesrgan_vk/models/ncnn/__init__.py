"""The two files of an ncnn network as data."""
