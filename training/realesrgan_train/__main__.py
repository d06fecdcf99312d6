"""`python -m realesrgan_train`, which torchrun needs."""

from realesrgan_train.entry import main

if __name__ == "__main__":
    main()
