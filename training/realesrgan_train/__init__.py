"""Train Real-ESRGAN networks: the published recipe, reproducible to the bit."""

__version__ = "0.1.0"
