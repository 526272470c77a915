"""An AI service: documents in, cited answers out."""
