"""The passes: build, fields, cost, contracts. Each takes what the one before made; none mutates."""
