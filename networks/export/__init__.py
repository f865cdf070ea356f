"""Networks as stateless graphs: modules with flat inputs and outputs, for ``torch.export``."""
