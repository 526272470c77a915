"""What people look at before it goes out."""
