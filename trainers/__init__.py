"""Training: losses, schedule, averaged weights, and the trainer that takes a model through a stage."""
