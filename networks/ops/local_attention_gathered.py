"""Local attention built from operations that exported graphs support: gathers, paddings, reshapes and matrix products.

Tiles are those of the blocked backend, all of them at once. Windows of a tile start at the place of their query; this
skew is made by reshapes: rows of one more element, cut to their old length, move on by one element each.

Shapes: as in :mod:`voskit.networks.ops.local_attention`; T tiles, R = (TILE + window - 1)^2 positions in reach of one.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from voskit.networks.ops.local_attention import TILE


def attend_inside(
    q_BHWNC: Tensor,
    k_BHWNC: Tensor,
    v_BHWND: Tensor,
    inside_HW: Tensor,
    rel_k_NKC: Tensor,
    rel_k_bias_NK: Tensor,
    rel_v_NKD: Tensor | None,
    window: int,
) -> Tensor:
    """Attend to keys inside the map, for which ``inside_HW`` is 1 -> [B, H, W, N, D]."""
    height, width, _, channels = q_BHWNC.shape[1:]
    rows, columns = -(-height // TILE), -(-width // TILE)
    reach = TILE + window - 1

    def tiles_of_queries(x_BHWNC: Tensor) -> Tensor:
        x = F.pad(x_BHWNC, (0, 0, 0, 0, 0, columns * TILE - width, 0, rows * TILE - height)).permute(0, 3, 1, 2, 4)
        return x.unflatten(3, (columns, TILE)).unflatten(2, (rows, TILE)).transpose(3, 4).flatten(4, 5).flatten(2, 3)

    def in_reach(x_BNHWC: Tensor) -> Tensor:
        before, right, below = window // 2, columns * TILE - width + window // 2, rows * TILE - height + window // 2
        padded = F.pad(x_BNHWC, (0, 0, before, right, before, below))
        places = _places(rows, columns, reach, padded.device)
        return padded.flatten(2, 3).index_select(2, places).unflatten(2, (rows * columns, reach * reach))

    own_q = tiles_of_queries(q_BHWNC)  # B, N, T, queries, C
    far = torch.finfo(q_BHWNC.dtype).min / 4
    outside_TR = (1 - in_reach(inside_HW[None, None, :, :, None])[0, 0, :, :, 0]) * far
    bias = own_q.flatten(2, 3) @ rel_k_NKC.transpose(1, 2)[None] + rel_k_bias_NK[None, :, None]
    bias = bias.unflatten(3, (window, window)).unflatten(2, (rows * columns, TILE, TILE))
    k, v = (in_reach(x.permute(0, 3, 1, 2, 4)) for x in (k_BHWNC, v_BHWND))
    scores = (own_q * channels**-0.5) @ k.transpose(3, 4) + outside_TR[None, None, :, None]
    weights = (scores + _skewed(bias, reach)).softmax(-1)
    out = weights @ v
    if rel_v_NKD is not None:
        own = _unskewed(weights, window, reach)
        out = out + (own.flatten(2, 3) @ rel_v_NKD[None]).unflatten(2, own.shape[2:4])
    out = out.unflatten(3, (TILE, TILE)).unflatten(2, (rows, columns))  # B, N, rows, columns, TILE, TILE, D
    return out.permute(0, 2, 4, 3, 5, 1, 6).flatten(3, 4).flatten(1, 2)[:, :height, :width]


def _places(rows: int, columns: int, reach: int, device: torch.device) -> Tensor:
    """Return the places of the positions in reach of each tile in the padded map, [T * R]."""
    step = torch.arange(reach, device=device)
    y = torch.arange(rows, device=device)[:, None, None, None] * TILE + step[:, None]
    x = torch.arange(columns, device=device)[:, None, None] * TILE + step
    return (y * (columns * TILE + reach - TILE) + x).flatten()


def _skewed(x: Tensor, reach: int) -> Tensor:
    """Move [..., TILE, TILE, window, window] to the windows' places -> [..., queries, R], -inf elsewhere."""
    rest = reach - x.shape[-1]
    x = F.pad(x, (0, rest, 0, rest), value=-torch.inf).flatten(-2)
    x = _moved_on(x, 1).flatten(-2)
    return _moved_on(x, reach).unflatten(-1, (TILE, reach * reach)).flatten(-3, -2)


def _unskewed(x: Tensor, window: int, reach: int) -> Tensor:
    """Return what lies in the windows of [..., queries, R], [..., queries, window * window]."""
    x = _moved_back(x.unflatten(-2, (TILE, TILE)).flatten(-2), reach)
    x = _moved_back(x.unflatten(-1, (TILE, reach * reach)), 1).unflatten(-1, (reach, reach))
    return x[..., :window, :window].flatten(-2).flatten(-3, -2)


def _moved_on(x: Tensor, step: int) -> Tensor:
    """Move row i of [..., n, m] to the right by i * step; what leaves a row is -inf."""
    n, m = x.shape[-2:]
    return F.pad(x, (0, step), value=-torch.inf).flatten(-2)[..., : n * m].unflatten(-1, (n, m))


def _moved_back(x: Tensor, step: int) -> Tensor:
    """Move row i of [..., n, m] to the left by i * step."""
    n, m = x.shape[-2:]
    return F.pad(x.flatten(-2), (0, n * step)).unflatten(-1, (n, m + step))[..., :m]
