"""The local attention op against its definition, written as plain loops."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from thorough import mark_thorough
from torch import Tensor

from voskit.networks.ops import available_backends, local_attention
from voskit.networks.ops.local_attention import _compiles_triton

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
CASES = [  # height, width, window, dilation, heads, key channels, value channels, relative values
    (5, 7, 15, 1, 2, 4, 6, True),
    (11, 19, 5, 1, 1, 8, 8, False),
    (1, 3, 5, 1, 1, 4, 4, True),
    (11, 9, 3, 2, 2, 4, 4, True),
    (10, 17, 7, 3, 1, 4, 5, False),
]


def by_definition(q: Tensor, k: Tensor, v: Tensor, rel_k: Tensor, bias: Tensor, rel_v: Tensor | None, w: int, d: int):
    batch, height, width, heads, channels = q.shape
    rows = []
    for y in range(height):
        for x in range(width):
            scores, values = [], []
            for i in range(w * w):
                yy, xx = y + (i // w - w // 2) * d, x + (i % w - w // 2) * d
                if not (0 <= yy < height and 0 <= xx < width):
                    continue
                own = q[:, y, x]
                scores.append((own * k[:, yy, xx]).sum(-1) / channels**0.5 + (own * rel_k[:, i]).sum(-1) + bias[:, i])
                values.append(v[:, yy, xx] + (0 if rel_v is None else rel_v[:, i]))
            weights = torch.stack(scores, -1).softmax(-1)
            rows.append((weights[..., None] * torch.stack(values, 2)).sum(2))
    return torch.stack(rows, 1).view(batch, height, width, heads, -1)


def random_input(case: tuple, dtype: torch.dtype = torch.float32) -> list[Tensor | None]:
    height, width, window, _, heads, channels, values, relative = case
    g = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=g, dtype=dtype).to(DEVICE)

    return [
        normal(2, height, width, heads, channels),
        normal(2, height, width, heads, channels),
        normal(2, height, width, heads, values),
        normal(heads, window**2, channels),
        normal(heads, window**2),
        normal(heads, window**2, values) if relative else None,
    ]


INTERPRETED = [(CASES[number], "triton") for number in (1, 2, 3, 4)]  # four to ten seconds each without a GPU


@pytest.mark.parametrize(
    ("case", "backend"),
    mark_thorough(
        pairs := [(case, backend) for case in CASES for backend in available_backends()],
        [pair for pair in INTERPRETED if pair in pairs],
    ),
)
def test_equals_the_definition(case: tuple, backend: str) -> None:
    inputs = random_input(case)
    got = local_attention(*inputs, window=case[2], dilation=case[3], backend=backend)
    assert (got - by_definition(*inputs, case[2], case[3])).abs().max() < 1e-5


@pytest.mark.parametrize(
    ("shared", "backend"),
    mark_thorough(
        [(shared, backend) for shared in ((0,), (0, 1)) for backend in available_backends()], [((0,), "triton")]
    ),
)
def test_queries_and_keys_of_one_batch_serve_all_values(shared: tuple[int, ...], backend: str) -> None:
    own = random_input(CASES[0])
    for i in shared:
        own[i] = own[i][:1]
    expanded = [x[:1].expand(2, *x.shape[1:]) if i in shared else x for i, x in enumerate(own)]
    got = local_attention(*own, window=15, backend=backend)
    assert (got - by_definition(*expanded, 15, 1)).abs().max() < 1e-5


SMALL_CASES = [(2, 18, 3, 1, 2, 4, 20, True), (3, 5, 5, 2, 1, 4, 4, False)]


@pytest.mark.parametrize("case", [SMALL_CASES[0], pytest.param(SMALL_CASES[1], marks=pytest.mark.thorough)])
def test_gradients_of_the_kernels_equal_those_of_the_definition(case: tuple) -> None:
    """Two strips of queries with two heads; dilation without relative values."""
    errors = pytest.importorskip("triton.runtime.errors")
    grads = []
    for backend in ("triton", "blocked"):
        inputs = [None if x is None else x.requires_grad_() for x in random_input(case)]
        out = local_attention(*inputs, window=case[2], dilation=case[3], backend=backend)
        try:
            (out * torch.arange(out.shape[-1], device=DEVICE)).square().sum().backward()
        except errors.InterpreterError as error:
            if "only 0-dimensional arrays" in str(error):
                pytest.skip("the interpreter of this Triton is too old for this NumPy")
            raise
        grads.append([x.grad for x in inputs if x is not None])
    for got, want in zip(*grads, strict=True):
        assert (got - want).abs().max() < 1e-5 * want.abs().max()


@pytest.mark.parametrize(
    ("capability", "compiler", "lack"),
    [((9, 0), "/usr/bin/gcc", ""), ((6, 1), "/usr/bin/gcc", "capability 7.0"), ((9, 0), None, "a C compiler")],
)
def test_triton_is_used_if_it_can_compile(monkeypatch, caplog, capability, compiler, lack) -> None:
    pytest.importorskip("triton")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(shutil, "which", lambda name: compiler)
    monkeypatch.delenv("CC", raising=False)
    works = _compiles_triton.__wrapped__(torch.device("cuda", 0))
    assert works == (not lack) and lack in caplog.text


@pytest.mark.parametrize("dtype", mark_thorough(["fp32", "fp16", "bf16"], ["fp32", "bf16"]))
def test_kernels_compile_for_a_gpu_of_cuda(dtype: str) -> None:
    """Needs no GPU, but a process in which Triton isn't interpreted."""
    pytest.importorskip("triton")
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    program = Path(__file__).with_name("compile_kernels.py")
    run = subprocess.run([sys.executable, program, dtype], capture_output=True, text=True, env=environment)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == ["_forward", "_query_gradient", "_key_gradient", "_relative_gradient"] * 2


@pytest.mark.parametrize("case", [CASES[0], CASES[3]])
def test_gradients_equal_those_of_the_definition(case: tuple) -> None:
    grads = []
    for run in (
        lambda x: local_attention(*x, window=case[2], dilation=case[3], backend="blocked"),
        lambda x: by_definition(*x, case[2], case[3]),
    ):
        inputs = [x.requires_grad_() for x in random_input(case, torch.float64)]
        run(inputs).square().sum().backward()
        grads.append([x.grad for x in inputs])
    for got, want in zip(*grads, strict=True):
        assert torch.allclose(got, want, atol=1e-9)


@pytest.mark.parametrize("backend", ["blocked", "triton"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_stays_near_float32(dtype: torch.dtype, backend: str) -> None:
    if backend not in available_backends():
        pytest.skip(f"{backend} can't run here")
    if (backend, dtype, DEVICE) == ("triton", torch.bfloat16, "cpu"):
        pytest.skip("Triton's interpreter has no products of bfloat16")
    case = (3, 13, 7, 1, 2, 16, 16, True)
    inputs = random_input(case)
    want = local_attention(*inputs, window=7)
    got = local_attention(*(x.to(dtype) for x in inputs), window=7, backend=backend)
    assert got.dtype == dtype
    assert (got.float() - want).abs().max() < 0.1


def test_scores_equal_the_published_correlation(aot_goldens: Path) -> None:
    """With one-hot relative values the output is the softmax itself, whose logarithm gives scores up to a constant."""
    with np.load(aot_goldens / "components" / "correlation.npz") as f:
        q, k, want, inside = (torch.from_numpy(f[n]) for n in ("q", "k", "out", "inside"))
    q, k = (x.permute(0, 2, 3, 1).unsqueeze(3) for x in (q, k))
    zeros = torch.zeros(1, 225, q.shape[-1])
    values = torch.zeros(*q.shape[:4], 225)
    own = local_attention(q, k, values, zeros, torch.zeros(1, 225), torch.eye(225)[None], window=15)
    weights = own[:, :, :, 0].permute(0, 3, 1, 2)
    expected = (want / q.shape[-1] ** 0.5).masked_fill(~inside.bool(), -torch.inf).softmax(1)
    assert (weights - expected).abs().max() < 1e-5


def test_errors_say_what_exists() -> None:
    inputs = random_input(CASES[0])
    with pytest.raises(
        ValueError, match="unknown backend of local attention 'cuda': known: blocked, correlation, gathered, triton"
    ):
        local_attention(*inputs, backend="cuda")
    if "correlation" not in available_backends():
        with pytest.raises(ValueError, match="spatial-correlation-sampler is not installed"):
            local_attention(*inputs, backend="correlation")
    if "triton" in available_backends():
        with pytest.raises(ValueError, match=r"'triton' of local attention doesn't support torch\.float64"):
            local_attention(*random_input(CASES[0], torch.float64), backend="triton")
    with pytest.raises(ValueError, match="odd side, got 4"):
        local_attention(*inputs, window=4)


def test_a_model_uses_the_backend_of_its_config() -> None:
    from voskit.networks import build_model

    model = build_model("aott", device="cpu", local_attention="cuda")
    features = model.encode_image(torch.zeros(1, 3, 33, 33))
    with pytest.raises(ValueError, match="unknown backend of local attention 'cuda'"):
        model.refer(features, model.encode_ids(torch.zeros(1, 33, 33)))


def test_triton_follows_both_reduced_precision_switches(monkeypatch) -> None:
    kernels = pytest.importorskip("voskit.networks.ops.local_attention_triton")
    products = torch.backends.cuda.matmul
    if not hasattr(products, "fp32_precision"):
        pytest.skip("this PyTorch has the old switch only")
    before = products.fp32_precision
    try:
        for precision in ("tf32", "ieee"):
            products.fp32_precision = precision
            assert kernels._may_use_tf32() == (precision == "tf32")
    finally:
        products.fp32_precision = before
