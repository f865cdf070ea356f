"""JointFormer: its network, and the transformer on ConvMAE inside it."""
