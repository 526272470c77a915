"""Object detection in pictures, which are decoded safely."""
