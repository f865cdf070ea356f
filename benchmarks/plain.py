"""Plain implementation of AOT and DeAOT with the same weights, as a reference for the benchmarks.

Local attention is dense and masked, memories are concatenated at each write, attention materializes all scores, batch
norms are not folded, everything is float32, and groups of objects run in a loop. All objects start in the first frame.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from voskit.evaluators import VideoSegmenter
from voskit.networks.engines import Step, StepCalls
from voskit.networks.layers import attention as attention_layers
from voskit.networks.layers.maps import to_sequence
from voskit.networks.layers.memory_part import MemoryPart
from voskit.networks.models import aot as aot_model


def dense_local_attention(
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
    """Compute ``voskit.networks.ops.local_attention`` from all scores, [B, N, H, W, H + window - 1, W + window - 1]."""
    assert dilation == 1
    batch, height, width, heads, channels = q_BHWNC.shape
    radius = window // 2
    around = (0, 0, radius, radius, radius, radius)
    q, k, v = (x.permute(0, 3, 1, 2, 4) for x in (q_BHWNC, k_BHWNC, v_BHWND))
    inside = F.pad(q.new_ones(1, 1, height, width, 1), around) > 0
    k, v = F.pad(k, around).flatten(2, 3), F.pad(v, around).flatten(2, 3)
    q = q.flatten(2, 3)
    places = (height + 2 * radius, width + 2 * radius)

    def windows(x: Tensor) -> Tensor:
        x = x.view(batch, heads, height, width, *places)
        b, n, y, x_step, ky, kx = x.stride()
        shape = (batch, heads, height, width, window, window)
        return x.as_strided(shape, (b, n, y + ky, x_step + kx, ky, kx))

    relative = torch.full((batch, heads, height * width, places[0] * places[1]), -torch.inf, device=q.device)
    bias = q @ rel_k_NKC.transpose(1, 2) + rel_k_bias_NK[:, None]
    windows(relative).copy_(bias.view(batch, heads, height, width, window, window))
    scores = (q * channels**-0.5) @ k.transpose(2, 3) + relative
    weights = scores.masked_fill(~inside.flatten(2).transpose(0, 2).view(-1), -torch.inf).softmax(-1)
    out = weights @ v
    if rel_v_NKD is not None:
        out = out + windows(weights).reshape(batch, heads, height * width, -1) @ rel_v_NKD
    return out.view(batch, heads, height, width, -1).permute(0, 2, 3, 1, 4)


def plain_attention(
    q_BNLC: Tensor, k_BNMC: Tensor, v_BNMD: Tensor, top_k: int | None = None, valid_BM: Tensor | None = None
) -> Tensor:
    """Compute ``voskit.networks.ops.attention`` from all scores."""
    assert top_k is None and valid_BM is None
    return (q_BNLC * q_BNLC.shape[-1] ** -0.5 @ k_BNMC.transpose(2, 3)).softmax(-1) @ v_BNMD


def plain_identities(ids_GHW: Tensor, weight_CKSS: Tensor, bias_C: Tensor, *, stride: int, padding: int) -> Tensor:
    """Compute ``voskit.networks.ops.embed_identities`` as a convolution of one-hot masks."""
    identities = torch.arange(weight_CKSS.shape[1], device=ids_GHW.device)
    one_hot = (ids_GHW[:, None] == identities[:, None, None]).float()
    return to_sequence(F.conv2d(one_hot, weight_CKSS, bias_C, stride, padding))


@contextmanager
def plain_operations() -> Iterator[None]:
    """Make networks use the operations above within the context."""
    places: list[tuple[Any, str, Any]] = [
        (attention_layers, "local_attention", dense_local_attention),
        (attention_layers, "attention", plain_attention),
        (aot_model, "embed_identities", plain_identities),
    ]
    kept = [getattr(module, name) for module, name, _ in places]
    try:
        for module, name, plain in places:
            setattr(module, name, plain)
        yield
    finally:
        for (module, name, _), own in zip(places, kept, strict=True):
            setattr(module, name, own)


class PlainEngine:
    """State of one video, with a separate, growing memory for each group of objects."""

    def __init__(self, network: Any, config: Any) -> None:
        self.network, self.config = network, config
        self.object_ids: list[int] = []
        self.slots: list[int] = []
        self._long_term: list[list[MemoryPart]] = []
        self._short_term: list[list[MemoryPart]] = []
        self._frame = 0

    def step(
        self, image_13HW: Tensor, size: tuple[int, int], mask_HW: Tensor | None = None, complete: bool = False
    ) -> StepCalls[Step]:
        yield from ()  # no calls to batch; every mask is taken as complete
        with plain_operations():
            features = self.network.encode_image(image_13HW)
            input_size = (image_13HW.shape[2], image_13HW.shape[3])
            if mask_HW is not None:
                slots_HW = self._begin(features, mask_HW, input_size)
            else:
                slots_HW = self._continue(features, size, input_size)
        self._frame += 1
        return Step(None, slots_HW.int())

    def _begin(self, features: Any, mask_HW: Tensor, size: tuple[int, int]) -> Tensor:
        self.object_ids = [x for x in mask_HW.unique().tolist() if x]
        self.slots = list(range(1, len(self.object_ids) + 1))
        slots_HW = torch.searchsorted(torch.tensor([0, *self.object_ids], device=mask_HW.device), mask_HW.contiguous())
        for ids in self._identities(slots_HW, size):
            states = self.network.refer(features, ids).states
            self._short_term.append(self.network.remember(states, ids))
        self._long_term = list(self._short_term)
        return slots_HW

    def _continue(self, features: Any, size: tuple[int, int], input_size: tuple[int, int]) -> Tensor:
        states, logits = [], []
        for long_term, short_term in zip(self._long_term, self._short_term, strict=True):
            propagated = self.network.propagate(features, [[part] for part in long_term], short_term)
            small = self.network.decode(propagated, features)
            logits.append(F.interpolate(small, size, mode="bilinear", align_corners=self.network.config.align_corners))
            states.append(propagated.states)
        count = self.network.config.max_objects
        own = [[s - g * count for s in self.slots if 0 < s - g * count <= count] for g in range(len(logits))]
        used = [group[0, [0, *slots]].softmax(0) for group, slots in zip(logits, own, strict=True)]
        background = torch.stack([p[0] for p in used]).prod(0)
        slots_HW = torch.cat([background[None], *(p[1:] for p in used)]).argmax(0)
        for g, ids in enumerate(self._identities(slots_HW, input_size)):
            memory = self.network.remember(states[g], ids)
            self._short_term[g] = memory
            if self._frame % self.config.long_term_gap == 0:
                self._long_term[g] = [
                    MemoryPart(torch.cat([a.key, b.key], 1), torch.cat([a.value, b.value], 1))
                    for a, b in zip(self._long_term[g], memory, strict=True)
                ]
        return slots_HW

    def _identities(self, slots_HW: Tensor, size: tuple[int, int]) -> list[Tensor]:
        resized = F.interpolate(slots_HW[None, None].float(), size, mode="nearest")[0].long()
        count = self.network.config.max_objects
        groups = range(-(-len(self.slots) // count))
        local = [resized - g * count for g in groups]
        return [self.network.encode_ids(x.where((x > 0) & (x <= count), 0)) for x in local]


class PlainSegmenter(VideoSegmenter):
    """``VideoSegmenter`` with the plain engine."""

    def __init__(self, model: nn.Module, **options: object) -> None:
        super().__init__(model, **options)  # type: ignore[arg-type]
        self._engines = [PlainEngine(model, self.config)]  # type: ignore[list-item]
