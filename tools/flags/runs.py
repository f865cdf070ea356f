"""Parsing of the runs and datasets of a comparison."""

from __future__ import annotations

import re
import shlex
import typing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voskit.configs import INFERENCE_FIELDS, get_model_config, suggest
from voskit.configs.base import parse_value
from voskit.configs.datasets import get_dataset_config
from voskit.tools.flags.model import ModelArgs

if TYPE_CHECKING:
    from voskit.evaluators.compare.datasets import DatasetChoice
    from voskit.evaluators.compare.run import Run


def read_run(text: str, **shared: Any) -> tuple[str, ModelArgs]:
    """Read a run such as ``"deaott policy=restricted flip"``, or with a name, ``"flipped: deaott flip"``.

    Args:
        text: a name of the zoo, then flags of :class:`ModelArgs` without dashes, and fields of the model's config.
        **shared: flags of all runs, which the text may change.

    Returns:
        the name, which is the text itself if it has none, and the flags.

    Raises:
        ValueError: an unknown model or field (similar names are suggested), or a value of the wrong type.
    """
    name, rest = match.groups() if (match := re.match(r"([^=]+?):\s+(\S.*)", text)) else (text, text)
    model, *words = shlex.split(rest) or [""]
    config = get_model_config(model)
    types = typing.get_type_hints(ModelArgs)
    flags: dict[str, Any] = {}
    fields: list[str] = []
    for word in words:
        key, sign, value = word.partition("=")
        key = key.replace("-", "_")
        if key in types and key != "set":
            flags[key] = _value(text, key, value if sign else "true", types[key])
        elif key in config.field_types() or key in config.aliases:
            fields.append(f"{key}={value}" if sign else f"{key}=true")
        else:
            near = suggest(key, [*types, *INFERENCE_FIELDS, *config.field_types()])
            raise ValueError(f"--run {text!r}: no flag or field of {model} is named {key!r}: {near}")
    if config.task == "referring":
        raise ValueError(f"--run {text!r}: {model} takes text prompts: compare models that take masks")
    args = ModelArgs(**{**shared, "model": model, "set": tuple(fields), **flags})
    try:
        args.check_mask_flags()
        args.check_values()
    except ValueError as error:
        raise ValueError(f"--run {text!r}: {error}") from None
    return name.strip(), args


def _value(run: str, key: str, text: str, hint: Any) -> Any:
    """Return the value of a flag. Raises ValueError if the text isn't one."""
    kinds = {hint, *typing.get_args(hint)}
    if Path in kinds:
        return Path(text)
    if typing.get_origin(hint) is tuple:
        value: Any = tuple(parse_value(part) for part in text.split(","))
        if all(isinstance(part, (int, float)) for part in value):
            return value
    elif str in kinds or any(text in typing.get_args(kind) for kind in kinds):
        return text
    else:
        value = parse_value(text)
        if type(value) in kinds or (float in kinds and type(value) is int):
            return value
    raise ValueError(f"--run {run!r}: {text!r} is not a valid {key}")


def as_run(name: str, flags: ModelArgs) -> Run:
    """Return a run of :func:`read_run` for ``compare``; its weights are loaded when its turn comes.

    Raises:
        ValueError: an invalid memory policy.
        OSError: its checkpoint is missing or can't be downloaded.
    """
    from voskit.evaluators.compare.run import Run
    from voskit.networks.memory.policies import build_policy

    if flags.policy is not None:
        build_policy(flags.policy)
    checkpoint = flags.checkpoint()
    if not checkpoint.is_file():
        raise FileNotFoundError(f"--run {name!r}: there is no checkpoint {checkpoint}")
    return Run(name, lambda dataset: flags.build_segmenter(None, dataset), checkpoint)


def read_dataset(text: str) -> DatasetChoice:
    """Read a dataset such as ``davis2017``, ``davis2017:train`` or ``davis2017:val=folder``, or a JSON file.

    Without a folder, it is that of the JSON file, or ``datasets/<the usual folder of the dataset>``.

    Raises:
        ValueError: an unknown dataset; similar names are suggested.
    """
    from voskit.evaluators.compare.datasets import DatasetChoice

    source, sign, folder = text.partition("=")
    name, _, split = source.partition(":")
    if sign or name.lower().endswith(".json"):
        return DatasetChoice(name, split or None, Path(folder) if sign else None)
    return DatasetChoice(name, split or None, Path("datasets") / get_dataset_config(name).folder)
