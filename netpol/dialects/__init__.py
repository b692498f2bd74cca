"""Takes documents, yields policies; takes policies, yields documents."""
