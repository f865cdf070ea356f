"""Small files in place of those that commands of the documents read: videos, datasets and networks.

All paths are those of the command, below the working folder.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from docs_commands import ROOT, Arguments, Command, blocks
from media_files import write_video
from PIL import Image
from referring_trees import image_tree, video_tree
from sentence_trees import a2d, jhmdb
from small_models import small_fields

import dataset_trees as trees
from voskit.configs import get_model_config
from voskit.configs.datasets import get_dataset_config
from voskit.configs.models.base import PerObjectConfig
from voskit.configs.stages import get_stage_config
from voskit.dataloaders.datasets import open_dataset
from voskit.dataloaders.masks.files import write_mask
from voskit.evaluators.benchmarks.score_maps import ScoreMaps
from voskit.evaluators.web.onnxruntime_web import FILES, PACKAGE, VERSION
from voskit.networks import build_model, save_weights
from voskit.networks.weights import list_published, weights_folder
from voskit.trainers.run import run_folder

NETWORK = "network.safetensors"
FRAMES = tuple(f"{number:05d}" for number in range(8))
STEP = "total_steps=1 batch_size=2 crop=65 short_edge=80 workers=0 log_every=1"
TINY = "--height 64 --width 96"
SMALLER = {
    "annotate": "--device cpu --port 0 --no_open_browser",
    "batch": "--device cpu --no_overlay",
    "check-dataset": "",
    "compare": "--device cpu --num_workers 1",
    "demo": "--device cpu",
    "eval": "--device cpu",
    "export": "",
    "masks-to-png": "",
    "merge": "",
    "pack": "",
    "score": "--num_workers 1",
    "train": f"--device cpu --set {STEP}",
    "weights": "",
    "./train_bundled.sh": "",
    "./train_eval.sh": "",
    "benchmarks/annotation.py": f"--ckpt_path {NETWORK} --videos bear --most 1",
    "benchmarks/depth.py": "--model aost",
    "benchmarks/effort.py": f"--ckpt_path {NETWORK} --videos bear dog --seeds 1 --most 1",
    "benchmarks/fusion.py": f"--ckpt_path {NETWORK} --span 2",
    "benchmarks/inference.py": "--sizes 64x96 --frames 2 --warm_up 1",
    "benchmarks/io.py": f"{TINY} --frames 4 --compute 0",
    "benchmarks/local_attention.py": "--sizes 64x96 --runs 1",
    "benchmarks/long_term_attention.py": "--size 64x96 --frames 2 --runs 1",
    "benchmarks/memory.py": f"{TINY} --frames 60 --native",
    "benchmarks/prompts.py": "--min_pixels 1 --max_objects 2",
    "benchmarks/quality.py": f"--ckpt_path {NETWORK}",
    "benchmarks/referring.py": "--windows 1 2 --size 64x96",
    "benchmarks/runtimes.py": "--random --size 33x49 --frames 1 --warm_up 1",
    "benchmarks/scaling.py": "--objects 1 --sizes 64x96 --fixed_size 64x96 --memory_frames 1 --frames 1",
    "benchmarks/top_k.py": "--rows 4 --runs 1",
    "benchmarks/training.py": "--crop 97 --batch_size 2 --clip_length 2 --warm_up 1 --steps 1 --device cpu",
    "benchmarks/videos.py": f"{TINY} --frames 1 --warm_up 1",
}
"""Tools that can run here, with flags that make them quick."""
IF_PRESENT = {"--gpu_num": "2", "--size": "33x49", "--objects": "4", "--memory_frames": "2", "--window": "2"}
"""Values of flags of ``voskit`` for commands that have them."""


def prepare(command: Command) -> tuple[list[str], dict[str, str]]:
    """Write what a command reads. Return its arguments with smaller sizes, and variables for its environment."""
    assert command.tool in SMALLER, f"no stand-ins for {command.tool}: add them, or name the command in NOT_HERE"
    here = f"file://{Path.cwd()}/"
    arguments = Arguments(tuple(word.replace("s3://", here) for word in command.arguments))
    if command.tool.startswith("benchmarks/"):
        arguments.set_all(f"{SMALLER[command.tool]} --output figures.json")
        _write_for_benchmark(arguments)
        return arguments.words, {}
    arguments.set_all(SMALLER[command.tool])
    for flag, value in IF_PRESENT.items():
        if flag in arguments:
            arguments.set(flag, value)
    environment = _WRITERS[command.tool](arguments) or {}
    return arguments.words, {**command.environment, **environment}


def save_network(model: str, path: Path, **fields: object) -> None:
    """Write a narrow network, which ``build_model`` reads under any name."""
    torch.manual_seed(0)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_weights(build_model(model, device="cpu", **{**_narrow(model), **fields}), path)


def _narrow(model: str) -> dict[str, int]:
    more = {"text_layers": 1, "short_edge": 40} if get_model_config(model).task == "referring" else {}
    return {**small_fields(model), **more}


def _network(arguments: Arguments, model: str = "deaott") -> None:
    files = arguments.get("--ckpt_path") or [NETWORK]
    for file in files:
        save_network(arguments.one("--model", model), Path(file))
    arguments.set("--ckpt_path", *files)


def _clip_size(arguments: Arguments) -> tuple[int, int]:
    """Return height and width of videos. Boxes and points of the pages lie inside."""
    return (320, 540) if {"--box", "--point"} & {*arguments.words} else (64, 108)


def _video(path: Path, size: tuple[int, int] = (64, 108), times: list[int] | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_video(path, "mpeg4", len(times or FRAMES[:3]), size=size, noise=True, times=times)


def _mask(path: Path) -> None:
    mask = np.zeros((64, 108), np.uint8)
    mask[16:60, 40:84] = 1
    path.parent.mkdir(parents=True, exist_ok=True)
    write_mask(path, mask)


def _clips(arguments: Arguments) -> bool:
    """Write the videos, masks and plugins that a command names, and return whether it names a video."""
    folder = Path(arguments.one("--mask", "masks"))
    named = [word for word in arguments.words if word.endswith(".mp4") or word == "videos"]
    for word in named:
        if word == "videos":
            for name in ("a", "b"):
                _video(Path(word, f"{name}.mp4"))
                _mask(folder / f"{name}.png")
            continue
        _video(Path(word), _clip_size(arguments), [*range(0, 750, 10)] if "--start" in arguments else None)
        for path in (folder,) if folder.suffix else (folder / "00000.png", folder / "00002.png"):
            _mask(path)
    if plugin := arguments.one("--plugin"):
        Path(plugin).write_text("\n".join(blocks(ROOT / "docs" / "extending.md", "python")), encoding="utf-8")
    return bool(named)


def _demo(arguments: Arguments) -> None:
    _network(arguments)
    if not _clips(arguments):  # a bundled scene
        arguments.set("--max_frames", "2")


def _annotate(arguments: Arguments) -> None:
    _network(arguments)
    _clips(arguments)


def _batch(arguments: Arguments) -> None:
    _network(arguments)
    _clips(arguments)
    source = Path(arguments.words[0].removeprefix("file://"))
    if not source.suffix:
        return
    _video(source.with_name("street.mp4"))
    _mask(source.with_name("street.png"))
    row = {"video": "street.mp4", "mask": "street.png"}
    lines = [json.dumps(row)] if source.suffix == ".jsonl" else [",".join(row), ",".join(row.values())]
    trees.text(source, "\n".join(lines) + "\n")


def _dataset(name: str, root: Path) -> None:
    """Write a miniature of a dataset with its ground truth."""
    if name.endswith(".json"):
        _own_dataset(Path(name))
        return
    {**trees.TREES, "a2d": a2d, "jhmdb": jhmdb}[name](root)
    if name in trees.TRUTH:
        trees.TRUTH[name](root)


def _own_dataset(description: Path) -> None:
    """Write the dataset that docs/datasets.md describes."""
    (text,) = blocks(ROOT / "docs" / "datasets.md", "json")
    trees.text(description, text)
    root, names = description.parent, [f"{number:03d}" for number in range(5)]
    trees.video(root, "clips/{}", "ids/{}", "waltz", (names[0], names[3]), names=names, ids=(1, 2))
    trees.video(root, "clips/{}", "truth/{}", "waltz", names[:3], names=names, ids=(1, 2))
    write_video(root / "clips" / "tango.mp4", "mpeg4", 3, size=trees.SIZE)
    trees.mask(root / "ids" / "tango.png", (1,))
    trees.text(root / "lists" / "short.txt", "waltz\n")


def _named_dataset(arguments: Arguments) -> None:
    _dataset(arguments.one("--dataset"), Path(arguments.one("--data_root")))


def _eval(arguments: Arguments) -> None:
    _network(arguments)
    _named_dataset(arguments)


def _results(arguments: Arguments) -> None:
    """Write a dataset and valid results."""
    name, root, results = (arguments.one(flag) for flag in ("--dataset", "--data_root", "--results"))
    if name == "folder":
        for folder in (root, results):
            trees.video(Path(), "frames/{}", f"{folder}/{{}}", "dance", trees.FRAMES)
        return
    _named_dataset(arguments)
    trees.answer(open_dataset(name, Path(root), split=arguments.one("--split") or None), Path(results))


def _merge(arguments: Arguments) -> None:
    for folder in arguments.get("--results"):
        with ScoreMaps(Path(folder, "Scores", "bear.npz")) as maps:
            for frame in trees.FRAMES:
                maps.add(frame, torch.rand(3, *trees.SIZE).softmax(0))
            maps.finish((1, 2))


def _compare(arguments: Arguments) -> None:
    words = arguments.words
    for place in (at for at, word in enumerate(words) if word == "--run"):
        model = words[place + 1].split(": ")[-1].split()[0]
        save_network(model, Path(f"{model}.safetensors"))
        words[place + 1] += f" ckpt_path={model}.safetensors"
    for text in [words[at + 1] for at, word in enumerate(words) if word == "--dataset"] or ["probe"]:
        source, _, folder = text.partition("=")
        name = source.partition(":")[0]
        _dataset(name, Path(folder or Path("datasets", get_dataset_config(name).folder)))


def _masks_to_png(arguments: Arguments) -> None:
    path = Path(arguments.one("--annotations"))
    if path.name == "annotations_train.json":
        trees.ovis(path.parents[1])
        return
    burst = trees.burst(Path("burst")) / "val" / "first_frame_annotations.json"
    trees.text(path, burst.read_text())


def _weights(arguments: Arguments) -> None:
    """Write all published files into the folder of downloads."""
    weights_folder().mkdir(parents=True)
    for entry in list_published():
        (weights_folder() / entry.file).write_bytes(b"0")


def _export(arguments: Arguments) -> None:
    _network(arguments)
    package = Path("node_modules", PACKAGE)
    for name in FILES:
        trees.text(package / "dist" / name, name)
    trees.write_json(package / "package.json", {"version": VERSION})


def _train(arguments: Arguments) -> None:
    """Write the data of a stage and its initial weights."""
    root = Path(arguments.one("--data_path", "datasets"))
    if "--plugin" in arguments:
        _clips(arguments)
        arguments.set("--set", "previous=None")
        _videos(root / "train", "frames/{}", "masks/{}")
        arguments.set("--set_model", *(f"{name}={value}" for name, value in small_fields("aotl").items()))
        return
    model, name = arguments.one("--model", "aott"), arguments.one("--stage", "pre")
    config = get_model_config(model)
    if config.task == "referring":
        arguments.set("--set", "epochs=None", "clip_length=1")
    elif isinstance(config, PerObjectConfig):  # whose frames are multiples of 16 pixels
        arguments.set("--set", "crop=64", "clip_length=4")
    if narrow := _narrow(model):
        arguments.set("--set_model", *(f"{name}={value}" for name, value in narrow.items()))
    stage = get_stage_config(name)
    stage = stage.override(**stage.changes_from_text(*arguments.get("--set")))
    _training_data(root, stage.datasets)
    for file in arguments.get("--ckpt_path"):
        save_network(model, Path(file))
    for file in arguments.get("--encoder_ckpt"):
        encoder = build_model(model, device="cpu").encoder
        torch.save(encoder.state_dict(), file)
    if stage.previous and "--ckpt_path" not in arguments:
        folder = run_folder("results", arguments.one("--exp_name", "default"), model, stage.previous)
        save_network(model, folder / "ema.safetensors", **get_stage_config(stage.previous).model)


def _videos(root: Path, frames: str, masks: str) -> None:
    for name in ("a", "b"):
        trees.video(root, frames, masks, name, FRAMES, names=FRAMES, ids=(1, 2))


def _training_data(root: Path, names: Iterable[str]) -> None:
    images = [name for name in names if name.startswith("refcoco")]
    for name in names:
        if name in ("static", "collage"):
            for frame in FRAMES:
                _noise(root / "Static/JPEGImages/set" / f"{frame}.jpg")
                trees.mask(root / "Static/Annotations/set" / f"{frame}.png", (1,), size=(120, 160))
        elif name == "youtubevos":
            _videos(root / "YouTubeVOS/train", "JPEGImages/{}", "Annotations/{}")
        elif name == "davis2017":
            _videos(root / "DAVIS", "JPEGImages/480p/{}", "Annotations/480p/{}")
            trees.text(root / "DAVIS/ImageSets/2017/train.txt", "a\nb\n")
        elif name == "refytvos":
            video_tree(root / "ref-youtube-vos")
        elif name in images:
            image_tree(root / "coco", tuple(images))
        else:
            assert name.endswith(".json"), f"no stand-in of the training data {name}"
            _videos(root, "frames/{}", "masks/{}")
            trees.write_json(root / name, {})


def _noise(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (120, 160, 3), np.uint8)).save(path)


def _train_eval(arguments: Arguments) -> dict[str, str]:
    data = Path("datasets")
    _training_data(data, ("static", "youtubevos", "davis2017"))
    _dataset("youtubevos2019", data / "YouTubeVOS")
    _dataset("davis2017", data / "DAVIS")
    return {**_script("aott"), "EVAL": "--device cpu"}


def _train_bundled(arguments: Arguments) -> dict[str, str]:
    _training_data(Path("datasets"), ("static", "davis2017"))
    figure = np.zeros((64, 64, 4), np.uint8)
    figure[8:50, 10:54] = (250, 200, 0, 255)
    Path("node_modules").mkdir()
    Image.fromarray(figure).save("node_modules/1f600.webp", lossless=True)
    return {**_script("deaott"), "FIGURES": str(Path("node_modules").resolve()), "CUTOUTS": "2", "RENDERED": "2"}


def _script(model: str) -> dict[str, str]:
    """Return the variables of a shell script that trains a model."""
    narrow = " ".join(f"{name}={value}" for name, value in _narrow(model).items())
    flags = f"--device cpu --set {STEP} --set_model {narrow}"
    folders = {"DATA": str(Path("datasets").resolve()), "OUT": str(Path("results").resolve())}
    return {"PYTHON": sys.executable, "TRAIN": flags, **folders}


def _write_for_benchmark(arguments: Arguments) -> None:
    if "--ckpt_path" in arguments:
        _network(arguments)
    for root in arguments.get("--data_root"):
        trees.davis2017(Path(root))


_WRITERS: dict[str, Callable[[Arguments], dict[str, str] | None]] = {
    "annotate": _annotate,
    "batch": _batch,
    "check-dataset": _named_dataset,
    "compare": _compare,
    "demo": _demo,
    "eval": _eval,
    "export": _export,
    "masks-to-png": _masks_to_png,
    "merge": _merge,
    "pack": _results,
    "score": _results,
    "train": _train,
    "weights": _weights,
    "./train_bundled.sh": _train_bundled,
    "./train_eval.sh": _train_eval,
}
