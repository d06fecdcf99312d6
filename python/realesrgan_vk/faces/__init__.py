"""Faces in a picture: finding and aligning them (the extra `realesrgan-vk[faces]`)."""
