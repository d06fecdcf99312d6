"""Train Real-ESRGAN networks with the published recipe, with exact resume."""

__version__ = "0.1.0"
