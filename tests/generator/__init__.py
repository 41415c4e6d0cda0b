"""Random networks, and what PyTorch says of them. Nothing in here imports netloom."""
