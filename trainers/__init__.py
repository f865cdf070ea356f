"""Training: losses, schedules and the staged trainer. Networks are only run so far, this room is still empty."""
