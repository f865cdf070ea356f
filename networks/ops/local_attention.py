"""Local window attention: every position attends to the window around it in another map.

:func:`local_attention` is the definition; several backends compute it. For position p, head n, window offset w::

    score[p, n, w] = q[p, n] . k[p + w, n] / sqrt(C) + q[p, n] . rel_k[n, w] + rel_k_bias[n, w]
    out[p, n]      = sum_w softmax_w(score)[p, n, w] * (v[p + w, n] + rel_v[n, w])

Offsets are numbered row by row; those outside the map are left out. AOT (section 4.2) calls this short-term
attention. ``rel_k`` and ``rel_v`` are learned relative terms; the former uses the unscaled query.

Shapes: B batch, H W map, N heads, C channels per head of query and key, D of the value, K = window * window offsets. A
query or key of batch 1 is shared by all values.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import shutil
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from voskit.configs import Registry

logger = logging.getLogger(__name__)

TILE = 8
"""Side of the square of queries that share their keys in the blocked backend."""

TILES_AT_ONCE = 4
"""Tiles of a row that a CPU computes at a time, so that intermediate results fit into its caches. Other devices compute
whole rows."""


class Backend(NamedTuple):
    """An implementation of :func:`local_attention`."""

    attend: Callable[..., Tensor]
    """Takes the arguments of :func:`local_attention` except ``backend``, all of them positional."""
    is_available: Callable[[], bool] = lambda: True
    requirement: str = ""
    """Requirement for the error message if it isn't available, such as ``"package x is not installed"``."""


BACKENDS: Registry[Backend] = Registry("backend of local attention")


def local_attention(
    q_BHWNC: Tensor,
    k_BHWNC: Tensor,
    v_BHWND: Tensor,
    rel_k_NKC: Tensor,
    rel_k_bias_NK: Tensor,
    rel_v_NKD: Tensor | None = None,
    *,
    window: int = 15,
    dilation: int = 1,
    backend: str | None = None,
) -> Tensor:
    """Attend to the ``window`` x ``window`` neighborhood of each position -> [B, H, W, N, D].

    If query and key are both shared, ``blocked`` and ``gathered`` compute the weights once for all values.

    Args:
        q_BHWNC: queries, unscaled.
        k_BHWNC, v_BHWND: keys and values of the other map, of the same size.
        rel_k_NKC, rel_k_bias_NK: relative bias of the scores.
        rel_v_NKD: relative term of the values, if any.
        window: odd side of the window.
        dilation: distance between adjacent offsets.
        backend: a name from :func:`available_backends`. Default: ``gathered`` in an export, ``triton`` on a CUDA
            device for which it can compile, else ``blocked``.

    Raises:
        ValueError: the window is even, or the backend is unknown or not available on this machine.
    """
    if window % 2 == 0:
        raise ValueError(f"the window of local attention must have an odd side, got {window}")
    attend = _choose(backend, q_BHWNC)
    return attend(q_BHWNC, k_BHWNC, v_BHWND, rel_k_NKC, rel_k_bias_NK, rel_v_NKD, window, dilation)


def available_backends() -> list[str]:
    """List the backends that can run here. ``TRITON_INTERPRET=1`` runs Triton's kernels, slowly, without a GPU."""
    return [name for name in BACKENDS.names() if BACKENDS.get(name).is_available()]


@cache
def _is_installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def _has_triton() -> bool:
    has_device = torch.cuda.is_available() or os.environ.get("TRITON_INTERPRET") == "1"
    return has_device and _is_installed("triton")


@cache
def _compiles_triton(device: torch.device) -> bool:
    """Return True if Triton can compile for a CUDA device; log the reason once if it can't."""
    if not _is_installed("triton"):
        return False
    if torch.cuda.get_device_capability(device) < (7, 0):
        lack = "a GPU of compute capability 7.0 or higher"
    elif not os.environ.get("CC") and not any(map(shutil.which, ("gcc", "clang"))):
        lack = "a C compiler (gcc)"
    else:
        return True
    logger.warning("local attention runs without Triton, which is slower: Triton needs %s", lack)
    return False


def _choose(name: str | None, q: Tensor) -> Callable[..., Tensor]:
    if name is None and torch.compiler.is_exporting():
        name = "gathered"
    if name is None:
        name = "triton" if q.is_cuda and q.dtype != torch.float64 and _compiles_triton(q.device) else "blocked"
        return BACKENDS.get(name).attend
    backend = BACKENDS.get(name)
    if not backend.is_available():
        raise ValueError(f"backend {name!r} of local attention can't run here: {backend.requirement}")
    return backend.attend


def _blocked(
    q_BHWNC: Tensor,
    k_BHWNC: Tensor,
    v_BHWND: Tensor,
    rel_k_NKC: Tensor,
    rel_k_bias_NK: Tensor,
    rel_v_NKD: Tensor | None,
    window: int,
    dilation: int,
) -> Tensor:
    """Attend in plain PyTorch, tile by tile, by dense scores between a tile of queries and the keys in its reach.

    The scores of a tile are a small dense matrix. A strided view of it selects each query's own window; all other
    scores are -inf. So the work is in matrix products, and only a row of tiles or a part of it is in memory at a time.
    """
    if dilation > 1:  # within the positions of one phase, the window is undilated
        relative = (rel_k_NKC, rel_k_bias_NK, rel_v_NKD)
        return _by_phase(_blocked_inside, q_BHWNC, k_BHWNC, v_BHWND, *relative, window, dilation)
    height, width = q_BHWNC.shape[1:3]
    inside_HW = q_BHWNC.new_ones(height, width)
    return _blocked_inside(q_BHWNC, k_BHWNC, v_BHWND, inside_HW, rel_k_NKC, rel_k_bias_NK, rel_v_NKD, window)


def _gathered(
    q_BHWNC: Tensor,
    k_BHWNC: Tensor,
    v_BHWND: Tensor,
    rel_k_NKC: Tensor,
    rel_k_bias_NK: Tensor,
    rel_v_NKD: Tensor | None,
    window: int,
    dilation: int,
) -> Tensor:
    """Attend with operations that exported graphs support."""
    from voskit.networks.ops.local_attention_gathered import attend_inside

    relative = (rel_k_NKC, rel_k_bias_NK, rel_v_NKD)
    if dilation > 1:
        return _by_phase(attend_inside, q_BHWNC, k_BHWNC, v_BHWND, *relative, window, dilation)
    inside_HW = q_BHWNC.new_ones(q_BHWNC.shape[1:3])
    return attend_inside(q_BHWNC, k_BHWNC, v_BHWND, inside_HW, *relative, window)


def _by_phase(
    attend_inside: Callable[..., Tensor],
    q: Tensor,
    k: Tensor,
    v: Tensor,
    rel_k: Tensor,
    bias: Tensor,
    rel_v: Tensor | None,
    window: int,
    d: int,
) -> Tensor:
    """Split maps into their d x d phases on the batch axis, attend in these, and join them."""
    height, width = q.shape[1:3]
    pad = (0, 0, 0, 0, 0, -width % d, 0, -height % d)

    def split(x_BHWNC: Tensor) -> Tensor:
        x = F.pad(x_BHWNC, pad)
        b, h, w, n, c = x.shape
        x = x.view(b, h // d, d, w // d, d, n, c).permute(2, 4, 0, 1, 3, 5, 6)
        return x.reshape(d * d, b, h // d, w // d, n, c)

    inside = split(q.new_ones(1, height, width, 1, 1))[:, 0, :, :, 0, 0]
    out = torch.stack(
        [
            attend_inside(*parts, rel_k, bias, rel_v, window)
            for parts in zip(split(q), split(k), split(v), inside, strict=True)
        ]
    )
    _, b, h, w, n, c = out.shape
    out = out.view(d, d, b, h, w, n, c).permute(2, 3, 0, 4, 1, 5, 6).reshape(b, h * d, w * d, n, c)
    return out[:, :height, :width]


def _blocked_inside(
    q_BHWNC: Tensor,
    k_BHWNC: Tensor,
    v_BHWND: Tensor,
    inside_HW: Tensor,
    rel_k_NKC: Tensor,
    rel_k_bias_NK: Tensor,
    rel_v_NKD: Tensor | None,
    window: int,
) -> Tensor:
    """Attend with the blocked backend to keys inside the map, for which ``inside_HW`` is 1."""
    batch, heads = len(v_BHWND), q_BHWNC.shape[3]
    height, width, channels = *q_BHWNC.shape[1:3], q_BHWNC.shape[4]
    if len(q_BHWNC) != len(k_BHWNC):
        q_BHWNC, k_BHWNC = _for_each_value(v_BHWND, q_BHWNC, k_BHWNC)
    own = len(q_BHWNC)  # 1 if the weights are shared
    radius = window // 2
    reach = TILE + window - 1  # side of the square of keys in reach of a tile
    bottom, right = -height % TILE, -width % TILE
    tiles = (width + right) // TILE
    at_once = TILES_AT_ONCE if q_BHWNC.device.type == "cpu" else tiles

    # an extra channel of the key, which meets a 1 in the query, gives keys outside the map a very low score
    far = torch.finfo(q_BHWNC.dtype).min / 4
    outside = ((1 - inside_HW) * far)[None, None, :, :, None]
    q = F.pad(q_BHWNC.permute(0, 3, 1, 2, 4), (0, 0, 0, right, 0, bottom))
    k, v = k_BHWNC.permute(0, 3, 1, 2, 4), v_BHWND.permute(0, 3, 1, 2, 4)
    rel_k = rel_k_NKC.transpose(1, 2)[None]
    rel_bias = rel_k_bias_NK[None, :, None]

    def in_reach(x_BNHWC: Tensor, top: int, padding: float = 0.0) -> Tensor:
        """View the positions in reach of each tile of the row at ``top``, [B, N, tiles, reach, reach, C]."""
        first, last = max(0, top - radius), min(height, top + TILE + radius)
        around = (0, 0, radius, radius + right, first - top + radius, top + TILE + radius - last)
        strip = F.pad(x_BNHWC[:, :, first:last], around, value=padding).unfold(3, reach, TILE)
        return strip.permute(0, 1, 3, 2, 5, 4)  # from B, N, reach, tiles, C, reach

    def attend(q_tiles: Tensor, k_tiles: Tensor, far_tiles: Tensor, v_tiles: Tensor) -> Tensor:
        """Attend for some tiles of a row, [B, N, tiles, ...] -> [B, TILE, tiles * TILE, N, D]."""
        count = q_tiles.shape[2]
        own_q = q_tiles.reshape(own, heads, count, TILE * TILE, channels)
        bias = (own_q.flatten(2, 3) @ rel_k + rel_bias).view(own, heads, count, TILE, TILE, window, window)
        scores = bias.new_full((own, heads, count, TILE, TILE, reach, reach), -torch.inf)
        _windows(scores, window).copy_(bias)
        scores = scores.view(-1, TILE * TILE, reach * reach)
        own_q = F.pad(own_q * channels**-0.5, (0, 1), value=1.0).flatten(0, 2)
        own_k = torch.cat([k_tiles, far_tiles.expand(*k_tiles.shape[:-1], 1)], -1).flatten(3, 4).flatten(0, 2)
        weights = torch.baddbmm(scores, own_q, own_k.transpose(1, 2)).softmax(-1)
        # a batched product would copy shared weights for each entry
        read = [weights @ v.flatten(3, 4).flatten(0, 2) for v in v_tiles.split(own)]
        out = read[0] if len(read) == 1 else torch.cat(read)
        out = out.view(batch, heads, count, TILE, TILE, -1)
        if rel_v_NKD is not None:
            in_window = _windows(weights.view(own, heads, count, TILE, TILE, reach, reach), window)
            in_window = in_window.reshape(own, heads, count * TILE * TILE, window * window)
            out = out + (in_window @ rel_v_NKD[None]).view(own, *out.shape[1:])
        return out.permute(0, 3, 2, 4, 1, 5).flatten(2, 3)

    rows = []
    for top in range(0, height, TILE):
        q_row = q[:, :, top : top + TILE].view(own, heads, TILE, tiles, TILE, channels).transpose(2, 3)
        reached = (in_reach(k, top), in_reach(outside, top, far), in_reach(v, top))
        pieces = [[x[:, :, i : i + at_once] for x in (q_row, *reached)] for i in range(0, tiles, at_once)]
        rows.append(torch.cat([attend(*piece) for piece in pieces], 2))
    return torch.cat(rows, 1)[:, :height, :width]


def _for_each_value(v_BHWND: Tensor, *shared: Tensor) -> list[Tensor]:
    """Expand queries or keys of batch 1 to the batch of the values."""
    return [x.expand(len(v_BHWND), -1, -1, -1, -1) for x in shared]


def _windows(scores: Tensor, window: int) -> Tensor:
    """View [..., TILE, TILE, reach, reach] as [..., TILE, TILE, window, window]: windows start at the query's place."""
    *lead, si, sj, sy, sx = scores.stride()
    shape = (*scores.shape[:-2], window, window)
    return scores.as_strided(shape, (*lead, si + sy, sj + sx, sy, sx))


def _correlation(
    q_BHWNC: Tensor,
    k_BHWNC: Tensor,
    v_BHWND: Tensor,
    rel_k_NKC: Tensor,
    rel_k_bias_NK: Tensor,
    rel_v_NKD: Tensor | None,
    window: int,
    dilation: int,
) -> Tensor:
    """Attend with scores from the compiled correlation extension, and sum up values offset by offset."""
    from spatial_correlation_sampler import spatial_correlation_sample

    q_BHWNC, k_BHWNC = _for_each_value(v_BHWND, q_BHWNC, k_BHWNC)
    batch, height, width, heads, channels = q_BHWNC.shape
    flat = (batch * heads, -1, height, width)
    q = q_BHWNC.permute(0, 3, 4, 1, 2).reshape(flat)
    k = k_BHWNC.permute(0, 3, 4, 1, 2).reshape(flat)
    scores = spatial_correlation_sample(
        q.contiguous() * channels**-0.5, k.contiguous(), kernel_size=1, patch_size=window, dilation_patch=dilation
    ).view(batch, heads, window * window, height, width)
    scores = scores + torch.einsum("bhwnc,nkc->bnkhw", q_BHWNC, rel_k_NKC) + rel_k_bias_NK[None, :, :, None, None]
    steps = (torch.arange(window, device=q.device) - window // 2) * dilation
    rows = steps[:, None] + torch.arange(height, device=q.device)
    columns = steps[:, None] + torch.arange(width, device=q.device)
    inside_y, inside_x = (rows >= 0) & (rows < height), (columns >= 0) & (columns < width)
    inside = (inside_y[:, None, :, None] & inside_x[None, :, None, :]).view(window * window, height, width)
    weights = scores.masked_fill(~inside, -torch.inf).softmax(2).permute(0, 3, 4, 1, 2)  # B, H, W, N, K
    reach = window // 2 * dilation
    v = F.pad(v_BHWND, (0, 0, 0, 0, reach, reach, reach, reach))
    out = (
        v_BHWND.new_zeros(v_BHWND.shape) if rel_v_NKD is None else torch.einsum("bhwnk,nkd->bhwnd", weights, rel_v_NKD)
    )
    for offset in range(window * window):
        dy, dx = offset // window * dilation, offset % window * dilation
        out = out + weights[..., offset, None] * v[:, dy : dy + height, dx : dx + width]
    return out


def _triton(q_BHWNC: Tensor, k_BHWNC: Tensor, v_BHWND: Tensor, *inputs: Tensor | int | None) -> Tensor:
    """Attend with fused Triton kernels, which are compiled at their first use."""
    from voskit.networks.ops.local_attention_triton import attend

    q_BHWNC, k_BHWNC = _for_each_value(v_BHWND, q_BHWNC, k_BHWNC)
    return attend(q_BHWNC, k_BHWNC, v_BHWND, *inputs)  # type: ignore[arg-type]


BACKENDS.register("blocked")(Backend(_blocked))
BACKENDS.register("gathered")(Backend(_gathered))
BACKENDS.register("triton")(Backend(_triton, _has_triton, "it needs a CUDA device and the package triton"))
BACKENDS.register("correlation")(
    Backend(
        _correlation,
        lambda: _is_installed("spatial_correlation_sampler"),
        "the package spatial-correlation-sampler is not installed",
    )
)
