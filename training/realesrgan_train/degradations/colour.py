"""The colour difference matrix of ITU-R BT.601, which JPEG and the video codecs use."""

RED, GREEN, BLUE = 0.299, 0.587, 0.114
"""Weights of luma (BT.601-7, table 2); their sum is 1."""
MOST_BLUENESS, MOST_REDNESS = 1.772, 1.402
"""Width of the range of blue and of red less luma: 2 (1 - weight)."""
