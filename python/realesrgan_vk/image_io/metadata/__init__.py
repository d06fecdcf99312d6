"""What a file says of its picture, and what of it a result keeps."""
