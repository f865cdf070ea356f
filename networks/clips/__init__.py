"""Training: how a batch of clips becomes what is supervised. Engines are for videos, whose end nobody knows."""
