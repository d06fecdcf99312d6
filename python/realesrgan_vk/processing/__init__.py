"""What an `Upscaler` does with pictures and rows; imported with the first one."""
