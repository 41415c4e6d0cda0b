"""Side-by-side measurements. Each prints a ratio; milliseconds depend on the machine."""
