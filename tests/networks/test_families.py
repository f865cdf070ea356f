"""Families: a table of lazy entries, hooks with defaults, and memory policies by name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from voskit.configs import PropagationConfig, get_model_config, list_models
from voskit.networks import Network, build_network, new_engine
from voskit.networks.families import FAMILIES, Family, could_hold
from voskit.networks.memory import EveryNthFrame, FirstAndLatest, build_policy

ROOT = Path(__file__).resolve().parents[2]
CLOSURE = 45
"""Modules that segmentation with AOT may import, half of what it once took."""

SEGMENT = """
import numpy as np
from voskit.evaluators.segmenter import VideoSegmenter
from voskit.networks import build_model

segmenter = VideoSegmenter(build_model("aott", device="cpu"), max_long_edge=64)
frame, mask = np.zeros((48, 64, 3), np.uint8), np.zeros((48, 64), np.uint8)
mask[10:30, 10:30] = 1
segmenter.step(frame, mask=mask)
segmenter.step(frame)
"""


def modules_after(code: str) -> list[str]:
    """Modules that a new interpreter holds after it ran some code."""
    listing = "import sys\nprint(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", f"{code}\n{listing}"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.slow
def test_segmentation_with_aot_imports_only_aot() -> None:
    modules = modules_after(SEGMENT)
    own = [name for name in modules if name.startswith("voskit.")]
    assert len(own) <= CLOSURE, own
    # torchvision imports torch.compile's front end, which takes as long as the rest
    assert not {"timm", "torchvision", "torch._dynamo", "transformers"} & set(modules)
    for family in ("deaot", "aost", "xmem", "jointformer", "referformer"):
        assert not [name for name in own if family in name]
    assert not [name for name in own if name.startswith("voskit.trainers") or ".stages" in name]


@pytest.mark.slow
def test_networks_with_a_resnet_import_no_other_library() -> None:
    build = "from voskit.networks import build_model\n[build_model(m, device='cpu') for m in ('r50_aotl', 'xmem')]"
    assert not {"timm", "torchvision", "torch._dynamo", "transformers"} & set(modules_after(build))


def test_importing_networks_imports_no_family() -> None:
    modules = modules_after("import voskit.networks")
    assert "torch" not in modules
    assert not [name for name in modules if name.startswith("voskit.networks.")]


@pytest.mark.parametrize("name", list_models())
def test_every_model_has_a_network_and_an_engine_or_none(name: str) -> None:
    config = get_model_config(name)
    with torch.device("meta"):
        network = build_network(config)
    assert isinstance(network, Network) and network.config is config
    assert network.has_mobile_encoder == getattr(config, "encoder", "").startswith("mobilenet")
    assert network.decay_encoder_norms == ("aost" in name)
    if config.task == "referring":
        with pytest.raises(ValueError, match="has no engine: its family doesn't propagate masks"):
            new_engine(network)
    else:
        engine = new_engine(network)
        assert (engine.object_ids, engine.slots, engine.memory_frames, engine.memory_bytes) == ([], [], 0, 0)


class Nameless(PropagationConfig):
    """A config without a family."""


class Misspelled(PropagationConfig):
    family = "jointformr"


class Bare(PropagationConfig):
    family = "bare"


def test_a_config_without_a_family_is_refused() -> None:
    with pytest.raises(ValueError, match="Nameless has no family: set its class attribute 'family'"):
        build_network(Nameless())
    with pytest.raises(ValueError, match="unknown model family 'jointformr': did you mean jointformer"):
        build_network(Misspelled())


@pytest.mark.parametrize("name", ["aott", "aost", "xmem", "jointformer", "r50_referformer"])
def test_a_file_is_compared_with_models_of_its_family(name: str) -> None:
    """Building all networks takes seconds, which the refusal of a wrong file would take, too."""
    with torch.device("meta"):
        tensors = build_network(get_model_config(name)).state_dict()
    possible = {
        get_model_config(other).family for other in list_models() if could_hold(get_model_config(other), tensors)
    }
    assert possible == ({"aot", "deaot", "aost"} if name in ("aott", "aost") else {get_model_config(name).family})


def test_hooks_have_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FAMILIES, "_entries", dict(FAMILIES._entries))
    FAMILIES.register("bare")(Family(Network))
    network = build_network(Bare())
    network.head = torch.nn.Linear(2, 2)
    assert network.block_calls == [(network.head, "forward")]
    assert network.pretrained_encoders == {} == network.adapt_checkpoint({}) == network.ignored_tensors({})
    assert (network.encoder_prefix, network.has_mobile_encoder, network.decay_encoder_norms) == (
        "encoder.",
        False,
        False,
    )
    with pytest.raises(ValueError, match="Network has no classification heads to reset"):
        network.reset_classifier()
    with pytest.raises(ValueError, match="Network can't be trained: it doesn't override propagate_clips"):
        network.propagate_clips(torch.empty(0), torch.empty(0), [], stage=None, step=0, permutation_BO=torch.empty(0))
    with pytest.raises(ValueError, match="Bare has no engine"):
        new_engine(network)


@pytest.mark.parametrize(("name", "fields"), [("xmem", {}), ("aott", {"enable_long_term": True})])
def test_a_policy_that_prototypes_would_ignore_is_refused(name: str, fields: dict[str, bool]) -> None:
    with torch.device("meta"):
        network = build_network(get_model_config(name, **fields))
    with pytest.raises(ValueError, match=r"policy EveryNthFrame\(gap=1, max_frames=3\) can't bound .*enable_long_term"):
        new_engine(network, policy=EveryNthFrame(1, 3))
    frames = network.config.override(enable_long_term=False)
    new_engine(network, frames, EveryNthFrame(1, 3))


def test_policies_have_names() -> None:
    assert build_policy("every_nth_frame:gap=2,max_frames=8") == EveryNthFrame(2, 8)
    assert build_policy("first_and_latest: gap=5") == FirstAndLatest(5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("every_n_frame:gap=2", "unknown memory policy 'every_n_frame': did you mean every_nth_frame"),
        ("every_nth_frame:gap", "'gap' is not of the form name=number"),
        ("every_nth_frame:gap=soon", "'gap=soon' is not of the form name=number"),
        ("every_nth_frame", "needs the field gap: every_nth_frame:gap=NUMBER"),
        ("every_nth_frame:gap=0", "'every_nth_frame:gap=0': gap must be an integer of at least 1, got 0"),
        ("first_and_latest:gap=2.5", "gap must be an integer of at least 1, got 2.5"),
        ("restricted:max_frames=0", "max_frames must be an integer of at least 1, got 0"),
        ("gated:confidence=7", "confidence must be from 0 to 1, got 7"),
        ("gated:confidense=0.7", "has no field 'confidense': did you mean confidence?"),
        ("every_nth_frame:gap=1,most=2", "has no field 'most'"),
    ],
)
def test_a_wrong_policy_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_policy(text)
