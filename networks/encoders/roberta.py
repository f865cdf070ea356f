"""RoBERTa text encoder (Liu et al., 2019) from transformers, and the projection of its features (ReferFormer, 3.1)."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor, nn

from voskit.networks.layers.position import word_position

PAD = 1
"""Token that pads text prompts to the longest one of a batch."""
WIDTH = 768


class Text(NamedTuple):
    """Encoded text prompts."""

    words: Tensor
    """[B, L, C]."""
    sentence: Tensor
    """[B, C]."""
    padding: Tensor
    """True for padding, [B, L] bool."""
    positions: Tensor
    """Embedding of the words' positions, [B, L, C]."""


def build_roberta(layers: int = 12) -> nn.Module:
    """Build a RoBERTa-base with random weights.

    Args:
        layers: number of transformer layers.

    Raises:
        ValueError: transformers isn't installed.
    """
    try:
        from transformers import RobertaConfig, RobertaModel
    except ImportError as error:
        raise ValueError(
            f"models with text prompts need the package transformers ({error}): pip install 'voskit[referring]'"
        ) from error
    config = RobertaConfig(
        vocab_size=50265,
        hidden_size=WIDTH,
        num_hidden_layers=layers,
        max_position_embeddings=514,
        type_vocab_size=1,
        layer_norm_eps=1e-5,
    )
    roberta: Any = RobertaModel(config, add_pooling_layer=True)
    # the Pretrained protocol, for voskit.networks.load_encoder
    roberta.pretrained_unused = ("lm_head.", "roberta.embeddings.position_ids")
    roberta.pretrained_absent = ("pooler.",)
    roberta.convert_pretrained = _convert_pretrained
    return roberta


def _convert_pretrained(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Remove the prefix ``roberta.``, which each name has in files of the language model."""
    return {name.removeprefix("roberta."): x for name, x in state.items()}


class TextProjection(nn.Module):
    """Linear layer, LayerNorm and dropout."""

    def __init__(self, dim: int, dropout: float) -> None:
        super().__init__()
        self.fc = nn.Linear(WIDTH, dim)
        self.layer_norm = nn.LayerNorm(dim, eps=1e-12)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        return self.dropout(self.layer_norm(self.fc(x)))


def encode_text(roberta: Any, projection: nn.Module, tokens_BL: Tensor) -> Text:
    """Encode the tokens of text prompts, padded with ``PAD``."""
    padding = tokens_BL == PAD
    encoded = roberta(tokens_BL, attention_mask=(~padding).long())
    words, sentence = projection(encoded.last_hidden_state), projection(encoded.pooler_output)
    return Text(words, sentence, padding, word_position(padding, words.shape[-1]))
