"""ReferFormer network: Language as Queries (Wu et al., CVPR 2022, arXiv 2201.00487).

Names of tensors are those of the published checkpoints.

Shapes: B clips, T frames, F = B * T frames of all clips, clip by clip, L words, Q queries, C channels, H W the input
size, h w = H / 4 W / 4.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from voskit.configs.models.referformer import ReferFormerConfig
from voskit.networks.decoders.cross_modal_fpn import CrossModalPyramid, VisionLanguageBlock, WordFusion
from voskit.networks.decoders.dynamic_mask_head import dynamic_masks, parameter_count
from voskit.networks.encoders import Encoder, build_encoder
from voskit.networks.encoders.resnet import Bottleneck
from voskit.networks.encoders.roberta import Text, TextProjection, build_roberta, encode_text
from voskit.networks.encoders.swin import SwinBlock
from voskit.networks.encoders.video_swin import VideoSwinBlock
from voskit.networks.layers.deformable import Decoded, DeformableEncoderLayer, DeformableTransformer, refine
from voskit.networks.layers.mlp import Perceptron
from voskit.networks.layers.position import valid_position
from voskit.networks.models.base import Network

DIM = 256
HEADS = 8
LAYERS = 4
LEVELS = 4
POINTS = 4
HIDDEN = 2048
_ALIAS = "transformer.decoder.bbox_embed."
_POSITION_IDS = "text_encoder.embeddings.position_ids"
_FRAMES_AT_ONCE = 8
"""Frames per call of the parts that don't mix frames, unless a gradient is needed."""


class ImageFeatures(NamedTuple):
    """Encoded clips, shared by all text prompts of a clip."""

    maps: list[Tensor]
    """At strides 4, 8, 16 and 32, [F, ...]."""
    length: int
    """T."""
    sizes: Tensor
    """Height and width of the clips without padding, [B, 2]."""
    padding: list[Tensor]
    """Masks of the padding at strides 4 to 64, True for padding, [B, ...] bool."""


class Candidates(NamedTuple):
    """Candidate objects of each frame, from clips and a text prompt for each."""

    layers: list[Decoded]
    """Queries and boxes of all frames after each decoder layer."""
    features: Tensor
    """Features for the mask head, [B, T, C, h, w]."""
    sizes: Tensor
    """Height and width of the clips without padding, [B, 2]."""


class Referred(NamedTuple):
    """Prediction of one decoder layer."""

    logits: Tensor
    """Scores of the queries as logits, [B, T, Q, classes]."""
    boxes: Tensor
    """cx, cy, w, h relative to the frame without padding, [B, T, Q, 4]."""
    masks: Tensor
    """Logits, [B, T, Q, h, w]."""


class _Joined(nn.Module):
    """Wrapper that gives the encoder its name in checkpoints."""

    def __init__(self, body: Encoder) -> None:
        super().__init__()
        self.body = body


class ReferFormer(Network):
    """ReferFormer as functions between tensors: ``encode_image``, ``encode_text``, ``find``, ``score``, ``masks``."""

    config: ReferFormerConfig

    def __init__(self, config: ReferFormerConfig) -> None:
        super().__init__(config)
        encoder = build_encoder(
            config.encoder,
            freeze_at=2 if config.encoder.startswith("resnet") else 0,
            drop_path=config.encoder_drop_path,
            to_stride_32=True,
        )
        self.backbone = nn.Sequential(_Joined(encoder))
        c4, *channels = encoder.channels
        self.input_proj = nn.ModuleList(
            [nn.Sequential(nn.Conv2d(c, DIM, 1), nn.GroupNorm(32, DIM)) for c in channels]
            + [nn.Sequential(nn.Conv2d(channels[-1], DIM, 3, 2, 1), nn.GroupNorm(32, DIM))]
        )
        self.text_encoder = build_roberta(config.text_layers)
        self.text_encoder.requires_grad_(not config.freeze_text_encoder)
        self.resizer = TextProjection(DIM, config.dropout)
        self.fusion_module = WordFusion(DIM, HEADS)
        self.transformer = DeformableTransformer(
            DIM,
            heads=HEADS,
            levels=LEVELS,
            points=POINTS,
            layers=LAYERS,
            hidden=HIDDEN,
            dropout=config.dropout,
        )
        self.query_embed = nn.Embedding(config.num_queries, DIM)
        self.class_embed = nn.ModuleList(nn.Linear(DIM, config.num_classes) for _ in range(LAYERS))
        self.bbox_embed = nn.ModuleList(Perceptron(DIM, DIM, 4) for _ in range(LAYERS))
        self.pixel_decoder = CrossModalPyramid(c4, DIM, HEADS, HIDDEN, config.dropout)
        self.controller = Perceptron(DIM, DIM, parameter_count(DIM))
        self._reset_parameters()

    def _reset_parameters(self) -> None:
        for part in (*self.input_proj.modules(), *self.controller.modules()):
            if isinstance(part, nn.Conv2d | nn.Linear):
                nn.init.xavier_uniform_(part.weight)
                nn.init.zeros_(part.bias)  # type: ignore[arg-type]
        self.reset_classifier()
        for i in range(LAYERS):
            weight, bias = (self.get_parameter(f"bbox_embed.{i}.layers.2.{name}") for name in ("weight", "bias"))
            nn.init.zeros_(weight)
            nn.init.zeros_(bias)
            if i == 0:
                nn.init.constant_(bias[2:], -2.0)

    def reset_classifier(self) -> None:
        """Reinitialize the score heads, at a probability of 0.01: fine-tuning starts this way, as published."""
        for head in self.class_embed:
            assert isinstance(head, nn.Linear)
            head.reset_parameters()
            nn.init.constant_(head.bias, -math.log(99))

    @property
    def encoder(self) -> Encoder:
        """Image encoder."""
        part = self.backbone[0]
        assert isinstance(part, _Joined)
        return part.body

    @property
    def encoder_prefix(self) -> str:
        return "backbone."

    @property
    def pretrained_encoders(self) -> dict[str, nn.Module]:
        return {"encoder_weights": self.encoder, "text_encoder_weights": self.text_encoder}

    @property
    def block_calls(self) -> list[tuple[nn.Module, str]]:
        kinds = (SwinBlock, VideoSwinBlock, Bottleneck, VisionLanguageBlock, DeformableEncoderLayer)
        return [(part, "forward") for part in self.modules() if isinstance(part, kinds)]

    def ignored_tensors(self, shapes: Mapping[str, torch.Size]) -> dict[str, str]:
        """Return tensors that published files hold twice, that follow from the architecture or count operations."""
        ignored = {}
        for name in shapes:
            if name.startswith(_ALIAS):
                ignored[name] = "second names of bbox_embed"
            elif name == _POSITION_IDS:
                ignored[name] = "follows from the architecture"
            elif name.endswith(("total_params", "total_ops")):
                ignored[name] = "counts operations"
        return ignored

    def adapt_checkpoint(self, state: Mapping[str, Tensor]) -> dict[str, tuple[Tensor, str]]:
        """Check that the two copies of each box head are equal; nothing is converted.

        Raises:
            ValueError: they differ.
        """
        for name in state:
            own = name.removeprefix("transformer.decoder.")
            if name.startswith(_ALIAS) and own in state and not torch.equal(state[own], state[name]):
                raise ValueError(f"the checkpoint is damaged: {name} and {own}, two names of one tensor, differ")
        return {}

    def encode_image(
        self, frames_BT3HW: Tensor, sizes_B2: Tensor | None = None, kept_B: Tensor | None = None
    ) -> ImageFeatures:
        """Encode clips.

        Args:
            frames_BT3HW: normalized RGB, padded with zeros at the right and the bottom.
            sizes_B2: height and width without padding; None: nothing is padded.
            kept_B: number of the one frame of each clip to keep after encoding (A2D-Sentences annotates only one);
                None: keep all.
        """
        batch, length, _, height, width = frames_BT3HW.shape
        if sizes_B2 is None:
            sizes_B2 = frames_BT3HW.new_tensor([[height, width]], dtype=torch.int64).expand(batch, -1)
        sizes_B2 = sizes_B2.to(frames_BT3HW.device)
        maps = self._encode(frames_BT3HW)
        if kept_B is not None:
            places = torch.arange(batch, device=kept_B.device) * length + kept_B
            maps, length = [x[places.to(x.device)] for x in maps], 1
        y = torch.arange(height, device=maps[0].device)[:, None] >= sizes_B2[:, :1, None]
        x = torch.arange(width, device=maps[0].device) >= sizes_B2[:, 1:, None]
        padding = (x | y)[:, None].float()
        sizes = [(m.shape[2], m.shape[3]) for m in maps]
        sizes.append(((sizes[-1][0] + 1) // 2, (sizes[-1][1] + 1) // 2))
        return ImageFeatures(maps, length, sizes_B2, [F.interpolate(padding, s)[:, 0].bool() for s in sizes])

    def _encode(self, frames_BT3HW: Tensor) -> list[Tensor]:
        frames, length = frames_BT3HW.flatten(0, 1), frames_BT3HW.shape[1]
        if self.encoder.over_time:
            return self.encoder(frames, length)
        parts = [self.encoder(frames[part]) for part in _in_parts(frames.shape[0])]
        return [torch.cat(maps) for maps in zip(*parts, strict=True)]

    def encode_text(self, tokens_BL: Tensor) -> Text:
        """Encode a text prompt for each clip, int64 tokens padded with 1."""
        return encode_text(self.text_encoder, self.resizer, tokens_BL)

    def find(self, image: ImageFeatures, text: Text) -> Candidates:
        """Find candidate objects in each frame, by queries made from the text prompt."""
        length, batch = image.length, len(image.sizes)
        sources = [*image.maps[1:], image.maps[-1]]
        maps = []
        for projection, source in zip(self.input_proj, sources, strict=True):
            x = projection(source).unflatten(0, (batch, length))
            fused = self.fusion_module(x.permute(0, 1, 3, 4, 2).flatten(1, 3), text)
            maps.append(fused.reshape(batch * length, *x.shape[3:], DIM).permute(0, 3, 1, 2))
        positions = [valid_position(p, DIM) for p in image.padding]
        # all frames of a clip have the same padding and positions
        pyramid = self.transformer.pyramid(
            [p.repeat_interleave(length, 0) for p in positions[1:]],
            [p.repeat_interleave(length, 0) for p in image.padding[1:]],
        )
        parts = _in_parts(batch * length)
        memory = torch.cat([self.transformer.encode([m[p] for m in maps], pyramid.part(p)) for p in parts])
        query = text.sentence.repeat_interleave(length, 0)[:, None].expand(-1, self.config.num_queries, -1)
        layers = self.transformer.decode(query, self.query_embed.weight, memory, pyramid, self.bbox_embed)
        encoded = [
            x.transpose(1, 2).unflatten(2, size)
            for x, size in zip(memory.split([h * w for h, w in pyramid.sizes], 1), pyramid.sizes, strict=True)
        ]
        features = self.pixel_decoder(
            [x.unflatten(0, (batch, length)) for x in (encoded[2], encoded[1], encoded[0], image.maps[0])],
            [positions[i] for i in (3, 2, 1, 0)],
            [image.padding[i] for i in (3, 2, 1, 0)],
            text,
        )
        return Candidates(layers, features, image.sizes)

    def score(self, found: Candidates, layer: int = -1) -> Tensor:
        """Score the candidates of a decoder layer, as logits [B, T, Q, classes]."""
        head = self.class_embed[layer]
        return head(found.layers[layer].queries).unflatten(0, found.features.shape[:2])

    def masks(self, found: Candidates, layer: int = -1, query: int | None = None) -> Tensor:
        """Predict the masks of a decoder layer for one query or all, as logits at stride 4, [B, T, Q, h, w]."""
        decoded = found.layers[layer]
        chosen = slice(None) if query is None else slice(query, query + 1)
        sizes = found.sizes.repeat_interleave(found.features.shape[1], 0)
        parameters, references = self.controller(decoded.queries[:, chosen]), decoded.refined[:, chosen, :2]
        masks = dynamic_masks(found.features.flatten(0, 1), parameters, references, sizes)
        return masks.unflatten(0, found.features.shape[:2])

    def boxes(self, found: Candidates, layer: int = -1) -> Tensor:
        """Predict the boxes of a decoder layer: cx, cy, w, h relative to the frame without padding, [B, T, Q, 4]."""
        decoded = found.layers[layer]
        boxes = refine(self.bbox_embed[layer](decoded.queries), decoded.reference)
        return boxes.unflatten(0, found.features.shape[:2])

    def forward(
        self,
        frames_BT3HW: Tensor,
        tokens_BL: Tensor,
        sizes_B2: Tensor | None = None,
        kept_B: Tensor | None = None,
    ) -> list[Referred]:
        """Predict from all decoder layers, in order; arguments are those of ``encode_image`` and ``encode_text``."""
        found = self.find(self.encode_image(frames_BT3HW, sizes_B2, kept_B), self.encode_text(tokens_BL))
        return [Referred(self.score(found, i), self.boxes(found, i), self.masks(found, i)) for i in range(LAYERS)]


def _in_parts(frames: int) -> list[slice]:
    if torch.compiler.is_exporting():  # the number of frames may vary
        return [slice(None)]
    at_once = frames if torch.is_grad_enabled() else _FRAMES_AT_ONCE
    return [slice(i, i + at_once) for i in range(0, frames, at_once)]
