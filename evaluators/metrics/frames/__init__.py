"""Frame masks for scoring: reading and comparing them in worker processes."""
