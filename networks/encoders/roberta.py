"""RoBERTa (Liu et al., 2019) from transformers, and the projection of its features (ReferFormer, section 3.1)."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor, nn

from voskit.networks.layers.position import word_position

PAD = 1
"""Token that fills sentences up to the longest one of a batch."""
WIDTH = 768


class Text(NamedTuple):
    """Encoded sentences."""

    words: Tensor
    """[B, L, C]."""
    sentence: Tensor
    """[B, C]."""
    padding: Tensor
    """Where ``words`` are none, [B, L] bool."""
    positions: Tensor
    """Embedding of the words' positions, [B, L, C]."""


def build_roberta(layers: int = 12) -> nn.Module:
    """RoBERTa-base with random weights.

    Raises:
        ValueError: transformers isn't installed.
    """
    try:
        from transformers import RobertaConfig, RobertaModel
    except ImportError as error:
        raise ValueError(
            f"models that take sentences need the package transformers ({error}): "
            "pip install transformers, or this project as '.[referring]'"
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
    # what ``voskit.networks.load_encoder`` asks of an encoder
    roberta.pretrained_unused = ("lm_head.", "roberta.embeddings.position_ids")
    roberta.pretrained_absent = ("pooler.",)
    roberta.convert_pretrained = _convert_pretrained
    return roberta


def _convert_pretrained(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Files of the language model have ``roberta.`` before each name."""
    return {name.removeprefix("roberta."): x for name, x in state.items()}


class TextProjection(nn.Module):
    """Linear layer and LayerNorm, with dropout behind them."""

    def __init__(self, dim: int, dropout: float) -> None:
        super().__init__()
        self.fc = nn.Linear(WIDTH, dim)
        self.layer_norm = nn.LayerNorm(dim, eps=1e-12)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        return self.dropout(self.layer_norm(self.fc(x)))


def encode_text(roberta: Any, projection: nn.Module, tokens_BL: Tensor) -> Text:
    """Tokens of sentences, filled up with ``PAD`` -> words and whole sentences."""
    padding = tokens_BL == PAD
    encoded = roberta(tokens_BL, attention_mask=(~padding).long())
    words, sentence = projection(encoded.last_hidden_state), projection(encoded.pooler_output)
    return Text(words, sentence, padding, word_position(padding, words.shape[-1]))
