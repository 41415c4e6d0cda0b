"""Timing candidates beside one another, and what can be said about their ratios."""
