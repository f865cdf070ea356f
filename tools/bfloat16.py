"""Processors on which networks run faster in bfloat16 than in float32."""

from __future__ import annotations

from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")


def bfloat16_is_fast() -> bool:
    """Return True if the CPU's bfloat16 products are faster than float32 products; False if that is unknown.

    They are faster with AMX, and on AMD with AVX-512 BF16. On Intel, AVX-512 BF16 is slower than float32
    (docs/performance.md).
    """
    if not _CPUINFO.exists():
        return False
    text = _CPUINFO.read_text(encoding="utf-8", errors="replace")
    flags = {flag for line in text.splitlines() if line.startswith("flags") for flag in line.split()}
    return "amx_bf16" in flags or ("avx512_bf16" in flags and "AuthenticAMD" in text)
