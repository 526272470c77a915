"""Object detection in pictures from untrusted sources, and in streams of frames."""
