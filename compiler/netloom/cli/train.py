"""`netloom train`."""
