"""The picture of a spec: one HTML page that holds everything it shows."""
