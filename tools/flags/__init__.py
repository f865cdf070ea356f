"""Flags of the commands, as dataclasses that tyro reads."""
