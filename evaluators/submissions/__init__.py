"""Submissions to benchmark servers: checks, JSON formats and archives."""
