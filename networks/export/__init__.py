"""Networks as graphs without state: modules with flat inputs and outputs, for ``torch.export``."""
