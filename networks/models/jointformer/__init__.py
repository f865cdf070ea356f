"""JointFormer."""
