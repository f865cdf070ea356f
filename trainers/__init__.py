"""Training: so far its building blocks (losses, rates, averaged weights, parameter groups), not yet the trainer."""
