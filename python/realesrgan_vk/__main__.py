"""`python -m realesrgan_vk` is the `realesrgan-vk` command."""

from realesrgan_vk.cli.start import command

if __name__ == "__main__":
    command()
