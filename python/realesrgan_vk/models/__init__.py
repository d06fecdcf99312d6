"""Networks: which there are, their files, and how a user's own are added and removed."""

from realesrgan_vk.models.registry import Model, find_model, list_models

__all__ = ["Model", "find_model", "list_models"]
