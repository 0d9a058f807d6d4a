"""Annotated rows in, a new model folder out: fit, calibrate, evaluate, card, promote."""
