"""The folder where a user's own networks are installed."""

from pathlib import Path


def own_models_folder() -> Path:
    """Where `realesrgan-vk models add` installs; it may not exist yet."""
    from platformdirs import user_data_path  # noqa: PLC0415 - takes long, and is needed by few

    return user_data_path("realesrgan-vk") / "models"
