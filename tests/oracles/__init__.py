"""What the compiler's answers are compared with. Nothing in here imports netloom."""
