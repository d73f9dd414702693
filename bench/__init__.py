"""Measurements as ratios to a limit that is taken in the same run. Nothing of the product imports this."""
