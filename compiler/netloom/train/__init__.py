"""From a checked train section to a trained network.

What a spec can name (losses, optimizers, schedules, augmentations, metrics, data sources) is one
class each and imports the libraries that do the work inside its methods, so checking a spec never
loads them. `run.train` puts the parts together.
"""
