"""The commands of `realesrgan-train`, one file each."""
