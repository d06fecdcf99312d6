"""The degradation recipe: from a sharp picture to a plausible low-resolution one."""
