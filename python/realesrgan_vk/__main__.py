"""`python -m realesrgan_vk` is the `realesrgan-vk` command."""

from realesrgan_vk.cli import main

if __name__ == "__main__":
    main()
