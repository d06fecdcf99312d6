"""`python -m realesrgan_export`."""

from realesrgan_export.entry import main

if __name__ == "__main__":
    main()
