"""Compile the kernels of local attention for a Hopper GPU, as AOT and DeAOT call them, and print their names."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from voskit.networks.ops import local_attention_triton as kernels

TYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
ALWAYS_FLOAT = ("log_sum_ptr", "delta_ptr", "out_bias_ptr")
SHARED_MEMORY = 99 * 1024  # of the smallest of today's GPUs
FORMS = [(32, 32, True), (128, 1024, False)]  # channels of key and value a head, relative values


def compile_for_gpu(kernel: triton.JITFunction, dtype: str, channels: int, values: int, has_rel_v: bool) -> None:
    q, v = (torch.empty(1, 30, 54, 8, c, dtype=TYPES[dtype], device="meta") for c in (channels, values))
    fixed, _ = kernels._constants(q, v, has_rel_v, 15, 1)
    names = kernel.arg_names
    if "OF_VALUE" in names:
        fixed["OF_VALUE"] = False
    floats = (*ALWAYS_FLOAT, "out_ptr") if kernel is kernels._relative_gradient else ALWAYS_FLOAT

    def kind(name: str) -> str:
        if name in fixed:
            return "constexpr"
        if name.endswith("_ptr"):
            return "*fp32" if name in floats else f"*{dtype}"
        return "fp32" if name == "scale" else "i32"

    constants = {(names.index(name),): value for name, value in fixed.items()}
    source = ASTSource(kernel, {name: kind(name) for name in names}, constants)
    done = triton.compile(source, target=GPUTarget("cuda", 90, 32))
    assert done.metadata.shared <= SHARED_MEMORY, (kernel, done.metadata.shared)


for form in FORMS:
    for name in ("_forward", "_query_gradient", "_key_gradient", "_relative_gradient"):
        compile_for_gpu(getattr(kernels, name), sys.argv[1], *form)
        print(name)
