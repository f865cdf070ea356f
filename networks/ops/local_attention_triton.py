"""Local window attention as fused Triton kernels, which never store a value for every offset of every position.

A program computes a strip of :data:`STRIP` adjacent queries in a row of the map. For each row of the window it loads
the strip of keys in reach of these queries. Their scores are one small matrix product, and so are the relative terms of
the row, which a gather shifts into place. The softmax is accumulated from row to row. The gradient recomputes the
scores from the saved log-sum-exp. It uses no atomic additions, so it is deterministic. With dilation, positions of a
strip and rows of a window are that far apart.

Shapes: B batch, H W map, N heads, C channels per head of query and key, D of the value; in kernels Q queries, K keys,
and R the offsets of one row of the window, padded.
"""

# arguments of kernels have no type hints: Triton reads annotations, and knows constexpr only
# mypy: disable-error-code="no-untyped-def"

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

STRIP = 16
"""Positions of a strip, the smallest side of a matrix product."""
_MOST_PARTS = 32  # partial sums of the relative terms' gradients
_TYPES = (torch.float32, torch.float16, torch.bfloat16)


@triton.jit
def _load(ptr, image, y, x_P, first, map, CHANNELS: tl.constexpr, BLOCK: tl.constexpr):
    """Load channels ``first`` to ``first + BLOCK`` of positions in row ``y`` -> [P, BLOCK], 0 outside the map."""
    height, width, heads = map
    c = first + tl.arange(0, BLOCK)
    place_P = (((image // heads).to(tl.int64) * height + y) * width + x_P) * heads + image % heads
    inside = ((x_P >= 0) & (x_P < width))[:, None] & (c < CHANNELS)[None, :]
    return tl.load(ptr + place_P[:, None] * CHANNELS + c[None, :], mask=inside, other=0.0)


@triton.jit
def _load_values(ptr, image, y, x_P, map):
    """Load the values of positions in row ``y`` of [B * N, H, W] -> [P]."""
    height, width, _ = map
    place_P = (image.to(tl.int64) * height + y) * width + x_P
    return tl.load(ptr + place_P, mask=(x_P >= 0) & (x_P < width), other=0.0)


@triton.jit
def _load_relative(
    ptr, head, row, first, CHANNELS: tl.constexpr, BLOCK: tl.constexpr, WINDOW: tl.constexpr, ROW: tl.constexpr
):
    """Load a row of the relative terms [N, window * window, CHANNELS] -> [R, BLOCK]."""
    c, r = first + tl.arange(0, BLOCK), tl.arange(0, ROW)
    place_R = (head * WINDOW + row) * WINDOW + r
    inside = (r < WINDOW)[:, None] & (c < CHANNELS)[None, :]
    return tl.load(ptr + place_R[:, None] * CHANNELS + c[None, :], mask=inside, other=0.0)


@triton.jit
def _strip(strip, width, DILATION: tl.constexpr, STRIP: tl.constexpr):
    """Compute a strip's row, and the quotient and remainder of its first column divided by the dilation."""
    blocks = tl.cdiv(tl.cdiv(width, DILATION), STRIP)
    inside_row = strip % (blocks * DILATION)
    return strip // (blocks * DILATION), inside_row // DILATION * STRIP, inside_row % DILATION


@triton.jit
def _scores(q_QC, k_KC, rel_k_RC, bias_R, offset_QK, near_QK, scale, PRECISION: tl.constexpr):
    """Compute the scores of one row of the window, float32 [Q, K]; -inf for keys outside of a query's window."""
    scores = tl.dot(q_QC, tl.trans(k_KC), input_precision=PRECISION) * scale
    relative = tl.dot(q_QC, tl.trans(rel_k_RC), input_precision=PRECISION) + bias_R[None, :]
    scores += tl.gather(relative, tl.where(near_QK, offset_QK, 0), 1)
    return tl.where(near_QK, scores, float("-inf"))


@triton.jit
def _near(x_q_Q, x_k_K, offset_QK, width, WINDOW: tl.constexpr):
    inside_Q, inside_K = (x_q_Q >= 0) & (x_q_Q < width), (x_k_K >= 0) & (x_k_K < width)
    return (offset_QK >= 0) & (offset_QK < WINDOW) & inside_Q[:, None] & inside_K[None, :]


@triton.jit
def _by_offset(x_QK, WINDOW: tl.constexpr, ROW: tl.constexpr):
    """Gather values by offset instead of by key, [Q, K] -> [Q, R]: query i has offset r at key i + r."""
    i, r = tl.arange(0, x_QK.shape[0])[:, None], tl.arange(0, ROW)[None, :]
    return tl.where(r < WINDOW, tl.gather(x_QK, tl.minimum(i + r, x_QK.shape[1] - 1), 1), 0.0)


@triton.jit
def _score_gradient(
    weights_QK, offset_QK, near_QK, grad_ptr, v_ptr, rel_v_ptr, delta_Q, image, y_q, x_q_Q, y_k, x_k_K, row, map,
    D: tl.constexpr, BLOCK_D: tl.constexpr, WINDOW: tl.constexpr, ROW: tl.constexpr, HAS_REL_V: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """Compute the gradient of the scores of one row of the window, float32 [Q, K]."""
    grad_QK = tl.zeros(weights_QK.shape, tl.float32)
    relative_QR = tl.zeros([weights_QK.shape[0], ROW], tl.float32)
    for first in range(0, D, BLOCK_D):
        grad_QD = _load(grad_ptr, image, y_q, x_q_Q, first, map, D, BLOCK_D)
        v_KD = _load(v_ptr, image, y_k, x_k_K, first, map, D, BLOCK_D)
        grad_QK += tl.dot(grad_QD, tl.trans(v_KD), input_precision=PRECISION)
        if HAS_REL_V:
            rel_v_RD = _load_relative(rel_v_ptr, image % map[2], row, first, D, BLOCK_D, WINDOW, ROW)
            relative_QR += tl.dot(grad_QD, tl.trans(rel_v_RD), input_precision=PRECISION)
    if HAS_REL_V:
        grad_QK += tl.gather(relative_QR, tl.where(near_QK, offset_QK, 0), 1)
    return weights_QK * (grad_QK - delta_Q[:, None])


@triton.jit
def _forward(
    q_ptr, k_ptr, v_ptr, rel_k_ptr, bias_ptr, rel_v_ptr, out_ptr, log_sum_ptr, height, width, heads, scale,
    C: tl.constexpr, D: tl.constexpr, BLOCK_C: tl.constexpr, BLOCK_D: tl.constexpr, WINDOW: tl.constexpr,
    DILATION: tl.constexpr, HAS_REL_V: tl.constexpr, STRIP: tl.constexpr, REACH: tl.constexpr, ROW: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    image, first = tl.program_id(1), tl.program_id(2) * BLOCK_D
    map = (height, width, heads)
    radius: tl.constexpr = WINDOW // 2
    i, j = tl.arange(0, STRIP), tl.arange(0, REACH)
    y, column, phase = _strip(tl.program_id(0), width, DILATION, STRIP)
    x_Q, x_K = (column + i) * DILATION + phase, (column + j - radius) * DILATION + phase
    offset_QK = j[None, :] - i[:, None]
    near_QK = _near(x_Q, x_K, offset_QK, width, WINDOW)
    q_QC = _load(q_ptr, image, y, x_Q, 0, map, C, BLOCK_C)
    highest_Q = tl.full([STRIP], -1e30, tl.float32)
    sum_Q = tl.zeros([STRIP], tl.float32)
    out_QD = tl.zeros([STRIP, BLOCK_D], tl.float32)
    for row in range(WINDOW):
        y_k = y + (row - radius) * DILATION
        if (y_k >= 0) & (y_k < height):
            k_KC = _load(k_ptr, image, y_k, x_K, 0, map, C, BLOCK_C)
            v_KD = _load(v_ptr, image, y_k, x_K, first, map, D, BLOCK_D)
            rel_k_RC = _load_relative(rel_k_ptr, image % heads, row, 0, C, BLOCK_C, WINDOW, ROW)
            bias_R = tl.sum(_load_relative(bias_ptr, image % heads, row, 0, 1, 1, WINDOW, ROW), 1)
            scores_QK = _scores(q_QC, k_KC, rel_k_RC, bias_R, offset_QK, near_QK, scale, PRECISION)
            higher_Q = tl.maximum(highest_Q, tl.max(scores_QK, 1))
            weights_QK = tl.exp(scores_QK - higher_Q[:, None])
            shrink_Q = tl.exp(highest_Q - higher_Q)
            sum_Q = sum_Q * shrink_Q + tl.sum(weights_QK, 1)
            out_QD = out_QD * shrink_Q[:, None]
            out_QD += tl.dot(weights_QK.to(v_KD.dtype), v_KD, input_precision=PRECISION)
            if HAS_REL_V:
                rel_v_RD = _load_relative(rel_v_ptr, image % heads, row, first, D, BLOCK_D, WINDOW, ROW)
                own_QR = _by_offset(weights_QK, WINDOW, ROW)
                out_QD += tl.dot(own_QR.to(v_KD.dtype), rel_v_RD, input_precision=PRECISION)
            highest_Q = higher_Q
    inside_Q = x_Q < width
    sum_Q = tl.where(inside_Q, sum_Q, 1.0)
    d = first + tl.arange(0, BLOCK_D)
    place_Q = (((image // heads).to(tl.int64) * height + y) * width + x_Q) * heads + image % heads
    tl.store(
        out_ptr + place_Q[:, None] * D + d[None, :],
        (out_QD / sum_Q[:, None]).to(out_ptr.dtype.element_ty),
        mask=inside_Q[:, None] & (d < D)[None, :],
    )
    if first == 0:
        place_Q = (image.to(tl.int64) * height + y) * width + x_Q
        tl.store(log_sum_ptr + place_Q, highest_Q + tl.log(sum_Q), mask=inside_Q)


@triton.jit
def _query_gradient(
    q_ptr, k_ptr, v_ptr, rel_k_ptr, bias_ptr, rel_v_ptr, grad_ptr, log_sum_ptr, delta_ptr, out_ptr, height, width,
    heads, scale, C: tl.constexpr, D: tl.constexpr, BLOCK_C: tl.constexpr, BLOCK_D: tl.constexpr,
    WINDOW: tl.constexpr, DILATION: tl.constexpr, HAS_REL_V: tl.constexpr, STRIP: tl.constexpr, REACH: tl.constexpr,
    ROW: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Compute the gradient of a strip of queries."""
    image = tl.program_id(1)
    map = (height, width, heads)
    radius: tl.constexpr = WINDOW // 2
    i, j = tl.arange(0, STRIP), tl.arange(0, REACH)
    y, column, phase = _strip(tl.program_id(0), width, DILATION, STRIP)
    x_Q, x_K = (column + i) * DILATION + phase, (column + j - radius) * DILATION + phase
    offset_QK = j[None, :] - i[:, None]
    near_QK = _near(x_Q, x_K, offset_QK, width, WINDOW)
    q_QC = _load(q_ptr, image, y, x_Q, 0, map, C, BLOCK_C)
    log_sum_Q = _load_values(log_sum_ptr, image, y, x_Q, map)
    delta_Q = _load_values(delta_ptr, image, y, x_Q, map)
    out_QC = tl.zeros([STRIP, BLOCK_C], tl.float32)
    for row in range(WINDOW):
        y_k = y + (row - radius) * DILATION
        if (y_k >= 0) & (y_k < height):
            k_KC = _load(k_ptr, image, y_k, x_K, 0, map, C, BLOCK_C)
            rel_k_RC = _load_relative(rel_k_ptr, image % heads, row, 0, C, BLOCK_C, WINDOW, ROW)
            bias_R = tl.sum(_load_relative(bias_ptr, image % heads, row, 0, 1, 1, WINDOW, ROW), 1)
            scores_QK = _scores(q_QC, k_KC, rel_k_RC, bias_R, offset_QK, near_QK, scale, PRECISION)
            grad_QK = _score_gradient(
                tl.exp(scores_QK - log_sum_Q[:, None]), offset_QK, near_QK, grad_ptr, v_ptr, rel_v_ptr, delta_Q,
                image, y, x_Q, y_k, x_K, row, map, D, BLOCK_D, WINDOW, ROW, HAS_REL_V, PRECISION,
            )  # fmt: skip
            out_QC += tl.dot(grad_QK.to(k_KC.dtype), k_KC, input_precision=PRECISION) * scale
            own_QR = _by_offset(grad_QK, WINDOW, ROW)
            out_QC += tl.dot(own_QR.to(k_KC.dtype), rel_k_RC, input_precision=PRECISION)
    c = tl.arange(0, BLOCK_C)
    place_Q = (((image // heads).to(tl.int64) * height + y) * width + x_Q) * heads + image % heads
    inside = (x_Q < width)[:, None] & (c < C)[None, :]
    tl.store(out_ptr + place_Q[:, None] * C + c[None, :], out_QC.to(out_ptr.dtype.element_ty), mask=inside)


@triton.jit
def _key_gradient(
    q_ptr, k_ptr, v_ptr, rel_k_ptr, bias_ptr, rel_v_ptr, grad_ptr, log_sum_ptr, delta_ptr, out_ptr, height, width,
    heads, scale, C: tl.constexpr, D: tl.constexpr, BLOCK_C: tl.constexpr, BLOCK_D: tl.constexpr,
    WINDOW: tl.constexpr, DILATION: tl.constexpr, HAS_REL_V: tl.constexpr, STRIP: tl.constexpr, REACH: tl.constexpr,
    ROW: tl.constexpr, PRECISION: tl.constexpr, OF_VALUE: tl.constexpr,
):  # fmt: skip
    """Compute the gradient of a strip of keys or, in blocks of channels, values, from all queries around them."""
    image = tl.program_id(1)
    map = (height, width, heads)
    radius: tl.constexpr = WINDOW // 2
    channels: tl.constexpr = D if OF_VALUE else C
    block: tl.constexpr = BLOCK_D if OF_VALUE else BLOCK_C
    first = tl.program_id(2) * block
    i, j = tl.arange(0, STRIP), tl.arange(0, REACH)
    y, column, phase = _strip(tl.program_id(0), width, DILATION, STRIP)
    x_K, x_Q = (column + i) * DILATION + phase, (column + j - radius) * DILATION + phase
    offset_QK = i[None, :] - j[:, None] + 2 * radius
    near_QK = _near(x_Q, x_K, offset_QK, width, WINDOW)
    k_KC = _load(k_ptr, image, y, x_K, 0, map, C, BLOCK_C)
    out = tl.zeros([STRIP, block], tl.float32)
    for row in range(WINDOW):
        y_q = y - (row - radius) * DILATION
        if (y_q >= 0) & (y_q < height):
            q_QC = _load(q_ptr, image, y_q, x_Q, 0, map, C, BLOCK_C)
            rel_k_RC = _load_relative(rel_k_ptr, image % heads, row, 0, C, BLOCK_C, WINDOW, ROW)
            bias_R = tl.sum(_load_relative(bias_ptr, image % heads, row, 0, 1, 1, WINDOW, ROW), 1)
            scores_QK = _scores(q_QC, k_KC, rel_k_RC, bias_R, offset_QK, near_QK, scale, PRECISION)
            log_sum_Q = _load_values(log_sum_ptr, image, y_q, x_Q, map)
            weights_QK = tl.exp(scores_QK - log_sum_Q[:, None])
            if OF_VALUE:
                grad_QD = _load(grad_ptr, image, y_q, x_Q, first, map, D, BLOCK_D)
                out += tl.dot(tl.trans(weights_QK.to(grad_QD.dtype)), grad_QD, input_precision=PRECISION)
            else:
                grad_QK = _score_gradient(
                    weights_QK, offset_QK, near_QK, grad_ptr, v_ptr, rel_v_ptr,
                    _load_values(delta_ptr, image, y_q, x_Q, map),
                    image, y_q, x_Q, y, x_K, row, map, D, BLOCK_D, WINDOW, ROW, HAS_REL_V, PRECISION,
                )  # fmt: skip
                out += tl.dot(tl.trans(grad_QK.to(q_QC.dtype)), q_QC, input_precision=PRECISION) * scale
    c = first + tl.arange(0, block)
    place_K = (((image // heads).to(tl.int64) * height + y) * width + x_K) * heads + image % heads
    inside = (x_K < width)[:, None] & (c < channels)[None, :]
    tl.store(out_ptr + place_K[:, None] * channels + c[None, :], out.to(out_ptr.dtype.element_ty), mask=inside)


@triton.jit
def _relative_gradient(
    q_ptr, k_ptr, v_ptr, rel_k_ptr, bias_ptr, rel_v_ptr, grad_ptr, log_sum_ptr, delta_ptr, out_ptr, out_bias_ptr,
    strips, batch, parts, height, width, heads, scale, C: tl.constexpr, D: tl.constexpr, BLOCK_C: tl.constexpr,
    BLOCK_D: tl.constexpr, WINDOW: tl.constexpr, DILATION: tl.constexpr, HAS_REL_V: tl.constexpr, STRIP: tl.constexpr,
    REACH: tl.constexpr, ROW: tl.constexpr, PRECISION: tl.constexpr, OF_VALUE: tl.constexpr,
):  # fmt: skip
    """Compute the gradient of one row of a head's relative terms, over every ``parts``-th strip of queries."""
    row, head, part = tl.program_id(0) % WINDOW, tl.program_id(0) // WINDOW, tl.program_id(1)
    map = (height, width, heads)
    radius: tl.constexpr = WINDOW // 2
    channels: tl.constexpr = D if OF_VALUE else C
    block: tl.constexpr = BLOCK_D if OF_VALUE else BLOCK_C
    first = tl.program_id(2) * block
    i, j = tl.arange(0, STRIP), tl.arange(0, REACH)
    offset_QK = j[None, :] - i[:, None]
    rel_k_RC = _load_relative(rel_k_ptr, head, row, 0, C, BLOCK_C, WINDOW, ROW)
    bias_R = tl.sum(_load_relative(bias_ptr, head, row, 0, 1, 1, WINDOW, ROW), 1)
    out = tl.zeros([ROW, block], tl.float32)
    out_bias_R = tl.zeros([ROW], tl.float32)
    for number in range(part, strips * batch, parts):
        image = number // strips * heads + head
        y, column, phase = _strip(number % strips, width, DILATION, STRIP)
        y_k = y + (row - radius) * DILATION
        if (y_k >= 0) & (y_k < height):
            x_Q, x_K = (column + i) * DILATION + phase, (column + j - radius) * DILATION + phase
            near_QK = _near(x_Q, x_K, offset_QK, width, WINDOW)
            q_QC = _load(q_ptr, image, y, x_Q, 0, map, C, BLOCK_C)
            k_KC = _load(k_ptr, image, y_k, x_K, 0, map, C, BLOCK_C)
            scores_QK = _scores(q_QC, k_KC, rel_k_RC, bias_R, offset_QK, near_QK, scale, PRECISION)
            weights_QK = tl.exp(scores_QK - _load_values(log_sum_ptr, image, y, x_Q, map)[:, None])
            if OF_VALUE:
                own_QR = _by_offset(weights_QK, WINDOW, ROW)
                grad_QD = _load(grad_ptr, image, y, x_Q, first, map, D, BLOCK_D)
                out += tl.dot(tl.trans(own_QR.to(grad_QD.dtype)), grad_QD, input_precision=PRECISION)
            else:
                grad_QK = _score_gradient(
                    weights_QK, offset_QK, near_QK, grad_ptr, v_ptr, rel_v_ptr,
                    _load_values(delta_ptr, image, y, x_Q, map),
                    image, y, x_Q, y_k, x_K, row, map, D, BLOCK_D, WINDOW, ROW, HAS_REL_V, PRECISION,
                )  # fmt: skip
                own_QR = _by_offset(grad_QK, WINDOW, ROW)
                out += tl.dot(tl.trans(own_QR.to(q_QC.dtype)), q_QC, input_precision=PRECISION)
                out_bias_R += tl.sum(own_QR, 0)
    r, c = tl.arange(0, ROW), first + tl.arange(0, block)
    place_R = ((part * heads + head) * WINDOW + row) * WINDOW + r
    inside = (r < WINDOW)[:, None] & (c < channels)[None, :]
    tl.store(out_ptr + place_R[:, None] * channels + c[None, :], out, mask=inside)
    if not OF_VALUE:
        tl.store(out_bias_ptr + place_R, out_bias_R, mask=r < WINDOW)


class _Attend(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, rel_k: Tensor, bias: Tensor, rel_v: Tensor | None, *size):
        """``size``: window and dilation."""
        inputs = [None if x is None else x.contiguous() for x in (q, k, v, rel_k, bias, rel_v)]
        q, k, v = inputs[:3]  # type: ignore[assignment]
        batch, height, width, heads, _ = q.shape
        out = torch.empty_like(v)
        log_sum = q.new_empty((batch * heads, height, width), dtype=torch.float32)
        fixed, strips = _constants(q, v, rel_v is not None, *size)
        grid = (strips, batch * heads, triton.cdiv(v.shape[-1], fixed["BLOCK_D"]))
        _forward[grid](*_pointers(inputs), out, log_sum, height, width, heads, q.shape[-1] ** -0.5, **fixed)
        ctx.save_for_backward(*inputs, out, log_sum)
        ctx.size = size
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor):
        *inputs, out, log_sum = ctx.saved_tensors
        q, k, v, rel_k, bias, rel_v = inputs
        grad = grads[0].contiguous()
        batch, height, width, heads, channels = q.shape
        delta = (grad.float() * out.float()).sum(-1).permute(0, 3, 1, 2).contiguous()
        fixed, strips = _constants(q, v, rel_v is not None, *ctx.size)
        tensors = (*_pointers(inputs), grad, log_sum, delta)
        map = (height, width, heads, channels**-0.5)
        images, chunks = batch * heads, triton.cdiv(v.shape[-1], fixed["BLOCK_D"])
        grad_q, grad_k, grad_v = torch.empty_like(q), torch.empty_like(k), torch.empty_like(v)
        _query_gradient[(strips, images)](*tensors, grad_q, *map, **fixed)
        _key_gradient[(strips, images, 1)](*tensors, grad_k, *map, **fixed, OF_VALUE=False)
        _key_gradient[(strips, images, chunks)](*tensors, grad_v, *map, **fixed, OF_VALUE=True)
        parts = min(_MOST_PARTS, strips * batch)
        rows = heads * ctx.size[0]
        part_k, part_bias = (
            torch.empty((parts, *x.shape), dtype=torch.float32, device=q.device) for x in (rel_k, bias)
        )
        of_parts = (part_bias, strips, batch, parts)
        _relative_gradient[(rows, parts, 1)](*tensors, part_k, *of_parts, *map, **fixed, OF_VALUE=False)
        grad_rel_v = None
        if rel_v is not None:
            part_v = torch.empty((parts, *rel_v.shape), dtype=torch.float32, device=q.device)
            _relative_gradient[(rows, parts, chunks)](*tensors, part_v, *of_parts, *map, **fixed, OF_VALUE=True)
            grad_rel_v = part_v.sum(0).to(rel_v.dtype)
        return (
            grad_q,
            grad_k,
            grad_v,
            part_k.sum(0).to(rel_k.dtype),
            part_bias.sum(0).to(bias.dtype),
            grad_rel_v,
            None,
            None,
        )


def _pointers(inputs: list[Tensor | None]) -> list[Tensor | None]:
    """Replace missing relative values by another tensor: kernels need a pointer, and don't read it."""
    return [inputs[0] if x is None else x for x in inputs]


def _constants(q: Tensor, v: Tensor, has_rel_v: bool, window: int, dilation: int) -> tuple[dict[str, Any], int]:
    """Return the compile-time constants of the kernels, and the number of strips of a map."""
    height, width, channels, values = q.shape[1], q.shape[2], q.shape[-1], v.shape[-1]
    blocks = triton.cdiv(triton.cdiv(width, dilation), STRIP)
    fixed = {
        "C": channels,
        "D": values,
        "BLOCK_C": max(16, triton.next_power_of_2(channels)),
        "BLOCK_D": min(64 if q.dtype == torch.float32 else 128, max(16, triton.next_power_of_2(values))),
        "WINDOW": window,
        "DILATION": dilation,
        "HAS_REL_V": has_rel_v,
        "STRIP": STRIP,
        "REACH": triton.next_power_of_2(STRIP + window - 1),
        "ROW": max(16, triton.next_power_of_2(window)),
        "PRECISION": "tf32" if _may_use_tf32() else "ieee",
    }
    return fixed, height * blocks * dilation


def _may_use_tf32() -> bool:
    """Return True if the user allows TF32; reading the old switch of torch after setting the new one is an error."""
    products = torch.backends.cuda.matmul
    precision = getattr(products, "fp32_precision", None)  # torch 2.9
    return products.allow_tf32 if precision is None else precision == "tf32"


def attend(
    q_BHWNC: Tensor,
    k_BHWNC: Tensor,
    v_BHWND: Tensor,
    rel_k_NKC: Tensor,
    rel_k_bias_NK: Tensor,
    rel_v_NKD: Tensor | None,
    window: int,
    dilation: int,
) -> Tensor:
    """Compute :func:`voskit.networks.ops.local_attention` in the query's dtype, with float32 scores and sums.

    Raises:
        ValueError: a dtype other than float32, float16 and bfloat16.
    """
    if q_BHWNC.dtype not in _TYPES:
        raise ValueError(f"backend 'triton' of local attention doesn't support {q_BHWNC.dtype}: use 'blocked'")
    others = (k_BHWNC, v_BHWND, rel_k_NKC, rel_k_bias_NK, rel_v_NKD)
    inputs = (q_BHWNC, *(None if x is None else x.to(q_BHWNC.dtype) for x in others), window, dilation)
    if q_BHWNC.is_cuda and q_BHWNC.device.index != torch.cuda.current_device():
        with torch.cuda.device(q_BHWNC.device):  # Triton launches kernels on the current device
            return _Attend.apply(*inputs)
    return _Attend.apply(*inputs)
