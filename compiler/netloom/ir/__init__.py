"""What a network is inside the compiler: dimensions, types, operators, graphs."""
