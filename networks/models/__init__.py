"""Networks of all families: functions between tensors, built through ``voskit.networks.families``."""
