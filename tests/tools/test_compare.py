"""``voskit compare``: runs and datasets as texts, errors before weights are loaded, and a whole comparison."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_models import save_small_aost

from dataset_trees import davis2017
from voskit.__main__ import main
from voskit.tools.flags.runs import as_run, read_dataset, read_run


def test_a_run_is_a_model_with_flags_and_fields() -> None:
    name, flags = read_run("deaott policy=every_nth_frame:gap=2 flip ms=1,1.3 top_k=20", threads=1)
    assert name == "deaott policy=every_nth_frame:gap=2 flip ms=1,1.3 top_k=20"
    assert (flags.model, flags.policy, flags.flip, flags.ms) == ("deaott", "every_nth_frame:gap=2", True, (1, 1.3))
    assert (flags.set, flags.threads) == (("top_k=20",), 1)


def test_a_run_may_have_a_name() -> None:
    name, flags = read_run("my weights: aott ckpt_path=/tmp/a.pth max-memory-frames=unbounded")
    assert (name, flags.model, flags.ckpt_path) == ("my weights", "aott", Path("/tmp/a.pth"))
    assert flags.max_memory_frames == "unbounded"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("deaotl2", "did you mean"),
        ("deaott polcy=a", "'polcy': did you mean policy"),
        ("deaott long_term_mem_gap=often", "'often' is not a valid long_term_mem_gap"),
        ("deaott ms=1,x", "'1,x' is not a valid ms"),
        ("deaott top_k=many", "top_k"),
        ("deaott flip=yes", "'yes' is not a valid flip"),
        ("r50_referformer", "takes text prompts"),
        ("deaott max_memory_frames=0", "field 'max_memory_frames' of DeAOTT must be at least 1"),
        ("deaott ms=0", "scales must be one or more positive numbers"),
        ("deaott depth=3", "--depth: deaott has one depth only"),
        ("deaott device=foo", "device 'foo' can't be used here"),
        ("deaott propagate=aott", "--propagate is for models with text prompts"),
        ("deaott cuts=foo", "--cuts: give auto, off or a file of frame numbers"),
    ],
)
def test_a_wrong_run_is_reported_by_a_line_that_names_it(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_run(text)


def test_checkpoint_and_policy_are_checked_before_weights_are_loaded(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"--run 'a': there is no checkpoint .*none\.pth"):
        as_run(*read_run(f"a: deaott ckpt_path={tmp_path / 'none.pth'}"))
    with pytest.raises(ValueError, match="memory policy"):
        as_run(*read_run("deaott policy=every_other_frame"))


def test_a_dataset_is_a_name_a_split_and_a_folder() -> None:
    choice = read_dataset("davis2017:train=/data/DAVIS")
    assert (choice.name, choice.split, choice.folder) == ("davis2017", "train", Path("/data/DAVIS"))
    choice = read_dataset("probe:cuts")
    assert (choice.name, choice.split, choice.folder) == ("probe", "cuts", Path("datasets/Probe"))
    assert read_dataset("mine.json").folder is None
    with pytest.raises(ValueError, match="did you mean"):
        read_dataset("davis2071")


def test_a_comparison_prints_its_table(tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    weights, root, output = save_small_aost(tmp_path), davis2017(tmp_path / "DAVIS"), tmp_path / "out"
    runs = [
        f"three: aost ckpt_path={weights}",
        f"one: aost ckpt_path={weights} depth=1",
    ]
    flags = [part for text in runs for part in ("--run", text)]
    flags += ["--dataset", f"davis2017={root}", "--videos", "dog", "--device", "cpu", "--num-workers", "1"]
    assert main(["compare", *flags, "--output_path", str(output)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert not (tmp_path / "datasets").exists(), "the default dataset is made only if none is given"
    assert all(
        line.startswith(f"davis2017, 1 of 2  {run} ") for line, run in zip(lines[1:3], ("three", "one"), strict=True)
    )
    assert (output / "comparison.svg").is_file()
    assert [path.name for path in output.glob("davis2017*/three/Annotations/*")] == ["dog"]


def test_a_failed_run_gives_a_non_zero_code_and_a_table_of_the_others(tmp_path: Path, capsys) -> None:
    weights, root, output = save_small_aost(tmp_path), davis2017(tmp_path / "DAVIS"), tmp_path / "out"
    broken = tmp_path / "broken.pth"
    broken.write_bytes(b"no weights")
    runs = ["--run", f"good: aost ckpt_path={weights}", "--run", f"bad: aost ckpt_path={broken}"]
    flags = ["--dataset", f"davis2017={root}", "--videos", "dog", "--device", "cpu", "--num_workers", "1"]
    assert main(["compare", *runs, *flags, "--output_path", str(output)]) == 1
    assert "good" in capsys.readouterr().out
