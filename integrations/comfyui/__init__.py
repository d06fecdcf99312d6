"""Real-ESRGAN on any GPU as a node of ComfyUI, by realesrgan-vk.

ComfyUI loads this folder from `custom_nodes` and calls `comfy_entrypoint`.
"""

from .nodes import comfy_entrypoint

__all__ = ["comfy_entrypoint"]
