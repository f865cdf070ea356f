"""Stages: the published values, settings of former versions, and a stage of your own in five lines."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from voskit.configs.stages import MainStageConfig, ReferringStageConfig, StageConfig, get_stage_config, list_stages

PUBLISHED = {
    "DATASETS": "datasets",
    "DATA_SEQ_LEN": "clip_length",
    "DATA_SHORT_EDGE_LEN": "scaled_edge",
    "DATA_RANDOMFLIP": "flip",
    "DATA_MAX_CROP_STEPS": "crop_tries",
    "DATA_RANDOM_REVERSE_SEQ": "reverse",
    "DATA_DAVIS_REPEAT": "davis_repeat",
    "DATA_RANDOM_GAP_DAVIS": "davis_gap",
    "DATA_RANDOM_GAP_YTB": "ytb_gap",
    "DATA_DYNAMIC_MERGE_PROB": "merge_probability",
    "DATA_WORKERS": "workers",
    "TRAIN_TOTAL_STEPS": "total_steps",
    "TRAIN_BATCH_SIZE": "batch_size",
    "TRAIN_OPT": "optimizer",
    "TRAIN_SGD_MOMENTUM": "momentum",
    "TRAIN_LR": "lr",
    "TRAIN_LR_ENCODER_RATIO": "encoder_lr_ratio",
    "TRAIN_LR_WARM_UP_RATIO": "warm_up_ratio",
    "TRAIN_LR_POWER": "power",
    "TRAIN_LR_COSINE_DECAY": "cosine",
    "TRAIN_LR_RESTART": "cycles",
    "TRAIN_WEIGHT_DECAY": "weight_decay",
    "TRAIN_CLIP_GRAD_NORM": "clip_norm",
    "TRAIN_EMA_RATIO": "ema_ratio",
    "TRAIN_TOP_K_PERCENT_PIXELS": "hard_pixel_ratio",
    "TRAIN_HARD_MINING_RATIO": "mining_ratio",
    "TRAIN_AUX_LOSS_WEIGHT": "reference_weight",
    "TRAIN_AUX_LOSS_RATIO": "reference_ratio",
    "TRAIN_SEQ_TRAINING_START_RATIO": "sequential_start",
    "TRAIN_SEQ_TRAINING_FREEZE_PARAMS": "frozen_in_sequential",
    "TRAIN_SAVE_STEP": "save_every",
    "TRAIN_MAX_KEEP_CKPT": "keep",
    "TRAIN_LOG_STEP": "log_every",
}


def test_values_are_the_published_ones(aot_goldens: Path) -> None:
    stages = json.loads((aot_goldens / "models.json").read_text())["stages"]
    assert set(stages) <= set(list_stages())
    for name, stage in stages.items():
        config = get_stage_config(name)
        for theirs, ours in PUBLISHED.items():
            want = stage["common"][theirs]
            assert getattr(config, ours) == (tuple(want) if isinstance(want, list) else want), (name, ours)
        scales = (stage["common"]["DATA_MIN_SCALE_FACTOR"], stage["common"]["DATA_MAX_SCALE_FACTOR"])
        assert config.scale_range == scales
        least = stage["common"].get("TRAIN_LR_MIN")
        for model, values in stage["model_dependent"].items():
            large = config.min_lr if config.min_lr_large is None else config.min_lr_large
            own = config.min_lr if model in ("aott", "aotl", "deaott") else large
            assert own == values.get("TRAIN_LR_MIN", least), (name, model)
            assert values["DATA_RANDOMCROP"] == [config.crop - model.startswith("swinb")] * 2


@pytest.mark.parametrize("name", list_stages())
def test_json_round_trip(name: str) -> None:
    config = get_stage_config(name, total_steps=7)
    assert type(config).from_dict(json.loads(config.to_json())) == config


def test_a_stage_of_your_own() -> None:
    class Mine(MainStageConfig):
        datasets = ("my_videos.json",)
        total_steps = 20_000
        previous = "pre"

    assert Mine().sequential_start == 0.5
    assert Mine().datasets == ("my_videos.json",)


def test_errors_say_what_exists() -> None:
    with pytest.raises(ValueError, match="unknown stage 'pre_ytb_davis': did you mean pre_ytb_dav"):
        get_stage_config("pre_ytb_davis")
    with pytest.raises(ValueError, match="no field 'total_step': did you mean total_steps"):
        get_stage_config("pre", total_step=3)
    with pytest.raises(ValueError, match="'own_gap' of Pre must be at least 1, or None for davis_gap"):
        get_stage_config("pre", own_gap=0)
    with pytest.raises(ValueError, match="'short_edge' of Pre must be at least 1, or None for one in proportion to"):
        get_stage_config("pre", short_edge=-1)
    with pytest.raises(ValueError, match="scale_range must be two positive numbers"):
        get_stage_config("pre", scale_range=(0.5, float("inf")))
    with pytest.raises(ValueError, match="at least 2 frames"):
        get_stage_config("pre", clip_length=1)


@pytest.mark.parametrize("name", ["pre", "s3", "jointformer_s2", "refer_coco"])
def test_probabilities_and_shares_are_from_0_to_1(name: str) -> None:
    stage = get_stage_config(name)
    assert {n for n in stage.field_types() if "prob" in n} <= set(stage.fractions)
    for field in stage.fractions:
        for value in (-0.1, 1.5, float("nan")):
            with pytest.raises(ValueError, match=rf"field '{field}' of \w+ must be from 0 to 1, got {value}"):
                stage.override(**{field: value})
        for value in (0.0, 1.0):
            assert getattr(stage.override(**{field: value}), field) == value


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"crop_tries": 0}, "field 'crop_tries' of S3 must be at least 1, got 0"),
        ({"first_frame_tries": 0}, "field 'first_frame_tries' of S3 must be at least 1, got 0"),
        ({"reference_frames": 0}, "field 'reference_frames' of S3 must be at least 1, got 0"),
        ({"fine_tuning": -5}, "field 'fine_tuning' of S3 must be at least 0, got -5"),
        ({"skip_from": (0.0, 0.9, 0.3, 0.1)}, r"'skip_from' of S3 must rise from 0 to at most 1, got \(0\.0, 0\.9"),
        ({"skip_from": (0.0, 0.1, 0.3, 30.0)}, "'skip_from' of S3 must rise from 0 to at most 1"),
        ({"skips": (5, 10, 0, 5)}, r"all entries of field 'skips' of S3 must be at least 1, got \(5, 10, 0, 5\)"),
        ({"crop_area": (2.0, 1.0)}, r"'crop_area' of S3 must be two fractions .* got \(2\.0, 1\.0\)"),
        ({"crop_area": (0.0, 1.0)}, "'crop_area' of S3 must be two fractions above 0"),
    ],
)
def test_numbers_that_allow_no_clips_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        get_stage_config("s3", **changes)


def test_a_smaller_crop_shows_as_much_of_a_video() -> None:
    assert get_stage_config("pre", crop=193).scaled_edge == 199
    assert get_stage_config("pre", crop=193, short_edge=300).scaled_edge == 300


def test_tuples_may_be_written_with_commas() -> None:
    stage = get_stage_config("pre").override_from_text("datasets=static,davis2017", "scale_range=0.5,1.5")
    assert stage.datasets == ("static", "davis2017")
    assert stage.scale_range == (0.5, 1.5)
    assert get_stage_config("pre").override_from_text("datasets=mine.json").datasets == ("mine.json",)
    assert get_stage_config("s0").override_from_text("mining_steps=1000,2000").mining_steps == (1000, 2000)
    assert get_stage_config("s0").override_from_text("mining_steps=None").mining_steps is None


def test_losses_and_samplings_of_your_own_can_be_set() -> None:
    stage = get_stage_config("pre").override_from_text("loss=mine", "sampling=often")
    assert (stage.loss, stage.sampling) == ("mine", "often")
    assert type(stage).from_dict(stage.to_dict()) == stage


def test_settings_of_earlier_versions_are_read() -> None:
    former = {"rate": 1e-4, "least_rate": 1e-6, "merge": 0.5, "optimiser": "sgd", "model": ["freeze_backbone=true"]}
    stage = StageConfig.from_dict(former)
    assert stage == StageConfig(
        lr=1e-4, min_lr=1e-6, merge_probability=0.5, optimizer="sgd", model={"freeze_backbone": True}
    )
    assert ReferringStageConfig.from_dict({"text_rate_ratio": 0.5, "rate": 1e-5}).text_lr_ratio == 0.5


@pytest.mark.parametrize(("former", "now"), [("rate", "lr"), ("least_rate", "min_lr"), ("merge", "merge_probability")])
def test_an_outdated_name_on_the_command_line_is_an_error_that_names_the_new_one(former: str, now: str) -> None:
    with pytest.raises(ValueError, match=f"no field '{former}': it is now '{now}'"):
        get_stage_config("pre").override_from_text(f"{former}=1e-4")


def test_fields_of_the_model_that_a_stage_sets() -> None:
    assert get_stage_config("s1").model == {"added_channel": "orthogonal"}
    stage = get_stage_config("open_full").override_from_text("model=train_long_term_gap=2,freeze_backbone=true")
    assert stage.model == {"train_long_term_gap": 2, "freeze_backbone": True}
    assert get_stage_config("open_full").override_from_text("model=").model == {}
    assert stage.override_from_text('model={"top_k": null}').model == {"top_k": None}
    assert type(stage.to_dict()["model"]) is dict  # what torch reads without running code
    with pytest.raises(ValueError, match="field 'model' of Pre must be Mapping"):
        get_stage_config("pre", model="freeze_backbone")
