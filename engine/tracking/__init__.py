"""Tells trackers of experiments (Weights & Biases, trackio, MLflow, TensorBoard) what a run has stored, each from a
process of its own."""
