"""Configs: the published values, the registry, JSON, overrides."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from voskit.configs import Config, Registry, get_model_config, list_models, model_name
from voskit.configs.models.base import MODELS
from voskit.configs.stages import get_stage_config
from voskit.networks.encoders import build_encoder

PUBLISHED = {
    "MODEL_ALIGN_CORNERS": "align_corners",
    "MODEL_ENCODER": "encoder",
    "MODEL_ENCODER_EMBEDDING_DIM": "embed_dim",
    "MODEL_DECODER_INTERMEDIATE_LSTT": "decoder_uses_all_layers",
    "MODEL_FREEZE_BN": "freeze_bn",
    "MODEL_FREEZE_BACKBONE": "freeze_backbone",
    "MODEL_MAX_OBJ_NUM": "max_objects",
    "MODEL_SELF_HEADS": "self_heads",
    "MODEL_ATT_HEADS": "attention_heads",
    "MODEL_LSTT_NUM": "num_layers",
    "TRAIN_LONG_TERM_MEM_GAP": "train_long_term_gap",
    "TRAIN_AUG_TYPE": "train_augmentation",
    "TEST_LONG_TERM_MEM_GAP": "long_term_gap",
    "TEST_SHORT_TERM_MEM_SKIP": "short_term_skip",
}


def published(aot_goldens: Path) -> dict:
    return json.loads((aot_goldens / "models.json").read_text())["models"]


def test_every_published_model_is_registered(aot_goldens: Path) -> None:
    assert set(published(aot_goldens)) <= set(list_models())


def test_values_are_the_published_ones(aot_goldens: Path) -> None:
    for name, model in published(aot_goldens).items():
        config = get_model_config(name)
        for theirs, ours in PUBLISHED.items():
            assert getattr(config, ours) == model["config"][theirs], (name, ours)
        assert list(build_encoder(config.encoder).channels) == model["config"]["MODEL_ENCODER_DIM"]
        if "note" not in model:  # these two have no config of their own and name another network's file
            assert Path(model["config"]["MODEL_ENCODER_PRETRAIN"]).name == config.encoder_weights
        assert config.window == model["derived"]["local_window"]
        assert model["derived"]["ffn_dim"] in (None, getattr(config, "ffn_dim", None))


@pytest.mark.parametrize("name", list_models())
def test_json_round_trip(name: str) -> None:
    config = get_model_config(name, short_edge=300)
    assert type(config).from_dict(json.loads(config.to_json())) == config
    assert model_name(config) == name


def test_a_config_class_changes_defaults_by_plain_assignment() -> None:
    class Wide(type(get_model_config("r50_aotl"))):
        embed_dim = 512

    assert Wide().embed_dim == 512
    assert Wide().encoder == "resnet50"
    assert Wide(encoder="resnet101").encoder == "resnet101"


def test_configs_are_frozen_and_keyword_only() -> None:
    config = get_model_config("aott")
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.encoder = "resnet50"
    with pytest.raises(TypeError):
        type(config)(480)


def test_an_unknown_model_suggests_similar_names() -> None:
    with pytest.raises(ValueError, match="unknown model 'r50_deatl': did you mean r50_deaotl"):
        get_model_config("r50_deatl")


def test_an_unknown_field_suggests_similar_names() -> None:
    with pytest.raises(ValueError, match="no field 'longterm_gap': did you mean long_term_gap"):
        get_model_config("aott", longterm_gap=3)


@pytest.mark.parametrize(
    ("field", "value"),
    [("long_term_gap", "5"), ("freeze_bn", 1), ("encoder", 50), ("long_term_gap", None), ("num_layers", 1.5)],
)
def test_wrong_types_are_refused(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"field '{field}' of AOTT must be"):
        get_model_config("aott", **{field: value})


@pytest.mark.parametrize("field", ["long_term_gap", "short_term_skip", "max_memory_frames", "num_layers"])
def test_values_out_of_range_are_refused(field: str) -> None:
    with pytest.raises(ValueError, match=f"'{field}' of AOTT must be at least 1, got 0"):
        get_model_config("aott", **{field: 0})


@pytest.mark.parametrize(
    ("model", "field", "value", "error"),
    [
        ("aott", "self_heads", 7, r"embed_dim \(256\) is not a multiple of self_heads \(7\)"),
        ("aott", "window", 4, "'window' of AOTT must be odd"),
        ("aott", "max_objects", 255, "'max_objects' of AOTT must be at most 254"),
        ("aott", "drop_path", float("nan"), "'drop_path' of AOTT must be at least 0"),
        ("aott", "drop_path", 1.0, "'drop_path' of AOTT must be less than 1, got 1.0"),
        ("r50_referformer", "threshold", 1.5, "'threshold' of R50ReferFormer must be less than 1"),
        ("aott", "short_edge", 0, "'short_edge' of AOTT must be in pixels, or -1 for the frame's own size"),
        ("aott", "max_short_edge", -1, "'max_short_edge' of AOTT must be at least 1"),
        ("deaott", "decoder_uses_all_layers", True, "'decoder_uses_all_layers' of DeAOTT must be"),
        ("xmem", "encoder", "resnet18", "'encoder' of XMem must be"),
        ("jointformer", "encoder", "resnet50", "'encoder' of JointFormer must be"),
    ],
)
def test_unsupported_values_are_refused(model: str, field: str, value: object, error: str) -> None:
    with pytest.raises(ValueError, match=error):
        get_model_config(model, **{field: value})


def test_overrides_from_a_command_line() -> None:
    config = get_model_config("aott").override_from_text("long-term-gap=4", "max_long_edge=None", "encoder=resnet50")
    assert (config.long_term_gap, config.max_long_edge, config.encoder) == (4, None, "resnet50")
    with pytest.raises(ValueError, match="not of the form name=value"):
        config.override_from_text("encoder")


@pytest.mark.parametrize(
    "text", ["scale_range=(0.8, 1.3)", "scale_range=[0.8, 1.3]", "scale_range=0.8,1.3", "scale_range=0.8, 1.3"]
)
def test_tuples_on_a_command_line_may_be_written_as_in_logs_json_or_plain(text: str) -> None:
    stage = get_stage_config("open_small").override_from_text(text, "datasets=('static', 'collage')")
    assert stage.scale_range == (0.8, 1.3)
    assert stage.datasets == ("static", "collage")
    assert stage.override_from_text("model={'freeze_backbone': False}").model == {"freeze_backbone": False}


def test_a_registry_refuses_a_duplicate_name() -> None:
    registry: Registry[type[Config]] = Registry("thing")
    registry.register("a")(Config)
    with pytest.raises(ValueError, match="thing 'a' is registered twice"):
        registry.register("a")(Config)
    assert MODELS.names() == list_models()


def test_logs_show_the_fields_that_differ_from_the_default() -> None:
    config = get_model_config("r50_aotl", long_term_gap=7, short_edge=300)
    assert config.differences() == {"short_edge": 300, "long_term_gap": 7}
    assert str(config) == "R50AOTL(short_edge=300, long_term_gap=7)"
    assert str(get_model_config("aott")) == "AOTT()"


def test_an_alias_sets_the_field_that_it_names() -> None:
    config = get_model_config("xmem").override_from_text("mem_every=3")
    assert (config.long_term_gap, config.mem_every) == (3, 3)
    assert "mem_every" not in config.to_dict()
    assert type(config).from_dict({**config.to_dict(), "mem_every": 3}) == config  # both stand in former files

    class Sparse(type(config)):
        mem_every = 7

    assert Sparse().long_term_gap == 7
    with pytest.raises(ValueError, match=r"mem_every \(3\) and long_term_gap \(7\) are two names of one field"):
        get_model_config("xmem", long_term_gap=7, mem_every=3)
    with pytest.raises(ValueError, match="no field 'mem_evry': did you mean mem_every"):
        get_model_config("xmem", mem_evry=3)


def test_a_name_of_the_wrong_type_is_unknown() -> None:
    with pytest.raises(ValueError, match="unknown model None: known: aost"):
        get_model_config(None)  # type: ignore[arg-type]


def test_a_registry_suggests_similar_names() -> None:
    registry: Registry[int] = Registry("loss")
    registry.register("bootstrapped_dice")(1)
    assert "bootstrapped_dice" in registry and list(registry) == ["bootstrapped_dice"] and len(registry) == 1
    with pytest.raises(ValueError, match="unknown loss 'bootstraped_dice': did you mean bootstrapped_dice"):
        registry.get("bootstraped_dice")


@pytest.mark.parametrize(("model", "crop", "side"), [("aott", 65, 65), ("swinb_deaotl", 65, 64), ("xmem", 64, 64)])
def test_training_frames_have_a_size_that_the_family_supports(model: str, crop: int, side: int) -> None:
    config = get_model_config(model)
    assert config.training_crop(crop) == side
    if model != "aott":
        with pytest.raises(ValueError, match=r"crop must be a multiple of 16.* for \w+, got 70"):
            config.training_crop(70)
