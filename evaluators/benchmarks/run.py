"""Evaluation of a model on a benchmark in one call: masks, scores, timing and archive."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from voskit.configs import PropagationConfig, model_name
from voskit.dataloaders.datasets import Dataset, open_dataset
from voskit.dataloaders.datasets.a2d import SENTENCE_SETS, SentenceSet, open_sentences
from voskit.dataloaders.files import check_output_folder, checksum, exclusive_lock
from voskit.evaluators.benchmarks.a2d import FRAMES, A2DEvaluation
from voskit.evaluators.benchmarks.propagation import PropagationEvaluation
from voskit.evaluators.benchmarks.referring import ReferringEvaluation
from voskit.evaluators.metrics import Scores
from voskit.evaluators.parallel.processes import run_processes
from voskit.evaluators.parallel.work_queue import WorkQueue
from voskit.evaluators.referring import ReferringSegmenter
from voskit.evaluators.segmenter import VideoSegmenter
from voskit.evaluators.submissions.pack import result_name

logger = logging.getLogger(__name__)

PathLike = str | os.PathLike[str]
Segmenter = VideoSegmenter | ReferringSegmenter
Evaluation = PropagationEvaluation | ReferringEvaluation | A2DEvaluation


def evaluate(
    model: nn.Module | Segmenter,
    dataset: str | Dataset | SentenceSet,
    data: PathLike | None = None,
    output: PathLike = "results",
    *,
    split: str | None = None,
    checkpoint: PathLike | None = None,
    experiment: str = "default",
    stage: str | None = None,
    save_scores: bool = False,
    propagator: VideoSegmenter | None = None,
    propagator_checkpoint: PathLike | None = None,
    frames: int = FRAMES,
    num_processes: int = 1,
    videos_at_once: int = 1,
    progress: bool = True,
) -> Scores | None:
    """Evaluate a model on a benchmark, or resume an interrupted evaluation.

    ``output`` gets ``Annotations``, the archive for the benchmark's server, ``timing.json``, ``settings.json`` and, if
    ground truth is available, ``scores.json`` (A2D-Sentences and JHMDB-Sentences: ``predictions.json``,
    ``settings.json`` and ``scores.json``). Call ``evaluate`` again with the same arguments to resume: finished videos
    aren't computed again.

    >>> import voskit
    >>> model = voskit.build_model("deaott", pretrained=True)
    >>> scores = voskit.evaluate(model, "davis2017", data="datasets/DAVIS", output="results/deaott")

    Under ``torchrun``, all processes share the videos, and rank 0 returns the scores. The output folder must be visible
    to all machines.

    Args:
        model: a network, run with its authors' settings for the dataset; or a segmenter, run with its own
            settings.
        dataset: name of a registered dataset, path of a JSON file that describes one, or an opened dataset.
        data: folder of the dataset. None: the folder of the JSON file.
        output: folder of the results; results with different settings need different folders.
        split: one of the dataset's splits. None: the first.
        checkpoint: file of the model's weights. Its checksum is recorded in ``settings.json``, and its name becomes
            part of the archive's name. None: the checksum of the weights themselves is used for both.
        experiment: first part of the archive's name.
        stage: training stage in the archive's name; None: not stated.
        save_scores: also write the probabilities of all frames, for ``voskit merge``.
        propagator: for models with text prompts, a segmenter that propagates the mask of each expression's key frame.
        propagator_checkpoint: file of its weights, see ``checkpoint``.
        frames: A2D-Sentences and JHMDB-Sentences: length of the window around the annotated frame.
        num_processes: number of processes on this machine. With CUDA, they share its GPUs. The model must be picklable.
        videos_at_once: number of videos that each process runs through the network as a batch.
        progress: show a progress bar.

    Returns:
        the scores; None on ranks other than 0, or if there is no ground truth or no scorer (the log says which).

    Raises:
        TypeError: ``model`` is neither a network nor a segmenter.
        ValueError: the dataset doesn't fit the model; ``output`` contains results with other settings or is in use by
            another program; or videos can't be read, in which case they are logged and the others are finished.
        FileNotFoundError: the dataset is incomplete; the message names the file.
        OSError: results can't be written.
    """
    for name, value in (("num_processes", num_processes), ("videos_at_once", videos_at_once)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    if not isinstance(model, (nn.Module, VideoSegmenter, ReferringSegmenter)):
        raise TypeError(f"the model must be a network of voskit.build_model or a segmenter, got {model!r}")
    output = Path(output)
    check_output_folder(output)
    if not isinstance(dataset, (Dataset, SentenceSet)):
        dataset = open_benchmark(dataset, data, split=split)
    if isinstance(dataset, Dataset):
        _check_frames_stay(dataset, output)
    queue = WorkQueue() if num_processes == 1 or "RANK" in os.environ else None
    is_first = queue is None or queue.rank == 0
    with ExitStack() as stack:
        if isinstance(model, nn.Module):
            stack.enter_context(dataset_settings(dataset.name, model))
            model = _segmenter(model)
        if is_first:
            stack.enter_context(exclusive_lock(output))
        settings = _settings(model, dataset, checkpoint)
        if propagator is not None:
            settings["propagation"] = _model_settings(propagator, propagator_checkpoint)
        evaluation = _evaluation(model, dataset, output, settings, save_scores=save_scores, frames=frames)
        options: dict[str, Any] = {}
        if isinstance(model, VideoSegmenter):
            options["videos_at_once"] = videos_at_once
        if propagator is not None:
            options["propagator"] = propagator
        if is_first:
            device = model.device
            logger.info("%s on %s: %s", model_name(model.config), device, model.config)
        if queue is None:
            run_in_processes(evaluation, model, options, num_processes, progress)
        else:
            evaluation.run(model, queue, progress=progress and is_first, **options)  # type: ignore[arg-type]
            queue.wait_for_all()
        if not is_first:
            return None
        if failures := evaluation.failures():
            for video, reason in failures.items():
                logger.error("video %s: %s", video, reason)
            raise ValueError(
                f"{len(failures)} of {evaluation.num_videos} videos failed, so there are no scores: "
                "fix them, and run again to resume"
            )
        if isinstance(evaluation, A2DEvaluation):
            return evaluation.finish()
        weights = _weights_name(checkpoint, settings["checkpoint"])
        return evaluation.finish(_archive_name(model, evaluation.dataset, experiment, stage, weights, propagator))


def open_benchmark(
    dataset: PathLike, data: PathLike | None = None, *, split: str | None = None, **options: Any
) -> Dataset | SentenceSet:
    """Open a dataset for :func:`evaluate`: ``voskit.open_dataset``, and also A2D-Sentences and JHMDB-Sentences.

    Raises:
        FileNotFoundError: something is missing; the message names it.
        ValueError: the dataset, split or an option is unknown, or files contradict each other.
    """
    if str(dataset) not in SENTENCE_SETS:
        return open_dataset(dataset, data, split=split, **options)
    if data is None:
        raise ValueError(f"dataset {dataset}: data is missing: set it to the folder of the dataset")
    return open_sentences(str(dataset), data)


def check_task(dataset: Dataset | SentenceSet, model: str, task: str) -> None:
    """Check, before weights are loaded, that a model can be evaluated on a dataset.

    Args:
        dataset: an opened dataset.
        model: name of the model, for messages.
        task: its task, which determines its kind of prompts, see ``ModelConfig.task``.

    Raises:
        ValueError, FileNotFoundError: see ``PropagationEvaluation`` and ``ReferringEvaluation``.
    """
    if isinstance(dataset, Dataset):
        (ReferringEvaluation if task == "referring" else PropagationEvaluation).check(dataset)
    elif task != "referring":
        raise ValueError(f"{dataset.name} has text prompts and no masks: {model} can't be evaluated on it")


@contextmanager
def dataset_settings(dataset: str, network: Any) -> Iterator[None]:
    """Use the settings that the network's authors chose for a dataset, within a ``with`` block."""
    own = network.config
    network.config = own.override(**own.dataset_settings.get(dataset, {}))
    try:
        yield
    finally:
        network.config = own


def run_in_processes(
    evaluation: Evaluation, segmenter: Segmenter, options: dict[str, Any], count: int, progress: bool
) -> None:
    """Run an evaluation in several processes on this machine. If a process fails, log that.

    The processes get everything through a temporary file, since they may use other devices than this process, which
    may be a notebook that can't be started again.
    """
    job = {
        "evaluation": evaluation,
        "options": {name: _packed(value) for name, value in options.items()},
        "segmenter": _packed(segmenter),
        "progress": progress,
        "threads": torch.get_num_threads(),
        "level": logging.getLogger().getEffectiveLevel(),
    }
    with tempfile.TemporaryDirectory(prefix="voskit-") as folder:
        path = Path(folder) / "job.pt"
        torch.save(job, path)
        device = segmenter.device.type
        command = [sys.executable, "-m", "voskit.evaluators.benchmarks.worker", str(path), device]
        for rank, code in enumerate(run_processes(command, count, together=False)):
            if code:
                logger.error("process %d ended with code %d", rank, code)


def _packed(value: Any) -> Any:
    """Replace a segmenter with the parts from which :func:`unpacked` rebuilds it; return any other value unchanged."""
    if not isinstance(value, (VideoSegmenter, ReferringSegmenter)):
        return value
    depth = value.depth if isinstance(value, VideoSegmenter) else None
    return {"segmenter": type(value), "model": value.model, "config": value.config, "options": value.options} | {
        "depth": depth
    }


def unpacked(value: Any) -> Any:
    """Rebuild a packed segmenter; return any other value unchanged."""
    if not isinstance(value, dict) or "segmenter" not in value:
        return value
    model = value["model"]
    model.config = value["config"]
    segmenter = value["segmenter"](model, **value["options"])
    if value["depth"] is not None:
        segmenter.set_depth(value["depth"])
    return segmenter


def _check_frames_stay(dataset: Dataset, output: Path) -> None:
    """Raise ValueError if results would be written into the folder of a video's frames."""
    results = output.resolve()
    for video in dataset:
        first = next(iter(video.files.values()), None)
        if first is not None and first.parent.resolve() == results:
            raise ValueError(f"{output} contains the frames of {video.name}: give another folder for the results")


def _segmenter(model: Any) -> Segmenter:
    return VideoSegmenter(model) if isinstance(model.config, PropagationConfig) else ReferringSegmenter(model)


def _evaluation(
    segmenter: Segmenter,
    dataset: Dataset | SentenceSet,
    output: Path,
    settings: dict[str, Any],
    *,
    save_scores: bool,
    frames: int,
) -> Evaluation:
    """Return the evaluation for this kind of model and dataset; raise ValueError for unsupported combinations."""
    name = model_name(segmenter.config)
    check_task(dataset, name, segmenter.config.task)
    if isinstance(segmenter, VideoSegmenter):
        assert isinstance(dataset, Dataset)
        if "propagation" in settings:
            raise ValueError(f"a propagator is only for models with text prompts, but {name} takes masks")
        return PropagationEvaluation(dataset, output, settings, save_scores=save_scores)
    if save_scores:
        raise ValueError(f"save_scores is only for models that propagate masks, but {name} takes text prompts")
    if isinstance(dataset, Dataset):
        return ReferringEvaluation(dataset, output, settings)
    if "propagation" in settings:
        raise ValueError(f"{dataset.name} evaluates single frames, so a propagator has no effect: leave it out")
    return A2DEvaluation(dataset, output, settings, frames)


def _settings(segmenter: Segmenter, dataset: Dataset | SentenceSet, checkpoint: PathLike | None) -> dict[str, Any]:
    """Return everything that results on a dataset depend on, as JSON types."""
    settings = _model_settings(segmenter, checkpoint)
    if isinstance(dataset, SentenceSet):
        return {**settings, "dataset": dataset.name}
    return {**settings, "dataset": dataset.config.to_dict(), "split": dataset.split}


def _model_settings(segmenter: Segmenter, checkpoint: PathLike | None) -> dict[str, Any]:
    """Return everything that results depend on except the dataset, as JSON types."""
    return {
        "model": model_name(segmenter.config),
        "checkpoint": _weights_checksum(segmenter.model) if checkpoint is None else checksum(checkpoint),
        "config": segmenter.config.to_dict(),
        **segmenter.settings,
        "device": segmenter.device.type,
    }


def _weights_checksum(model: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return f"weights {digest.hexdigest()}"


def _weights_name(checkpoint: PathLike | None, weights_checksum: str) -> str:
    """Return a name of the weights for file names: the stem of their file, or the start of their checksum."""
    if checkpoint is None:
        return weights_checksum.removeprefix("weights ")[:16]
    return re.sub(r"[^\w.-]+", "_", Path(checkpoint).stem)


def _archive_name(
    segmenter: Segmenter,
    dataset: Dataset,
    experiment: str,
    stage: str | None,
    weights: str,
    propagator: VideoSegmenter | None,
) -> str:
    """Return the archive's name without suffix: ``davis2017_val_default_DeAOTT_ckpt_deaott_open``.

    The name of a model with selectable depth is followed by the depth, as in ``AOST_L2``, or by its target frame rate.
    """
    parts = [experiment, type(segmenter.config).__name__]
    if propagator is not None:
        parts.append(type(propagator.config).__name__)
    if not isinstance(segmenter, VideoSegmenter):
        return result_name(dataset.name, dataset.split, "_".join(parts), stage, weights)
    if segmenter.target_fps is not None:
        parts.append(f"{segmenter.target_fps:g}fps")
    elif segmenter.depth is not None:
        parts.append(f"L{segmenter.depth}")
    options = segmenter.options
    return result_name(
        dataset.name, dataset.split, "_".join(parts), stage, weights, flip=options["flip"], scales=options["scales"]
    )
