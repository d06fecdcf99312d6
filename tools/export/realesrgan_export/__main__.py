"""`python -m realesrgan_export`."""

from realesrgan_export.cli import main

main()
