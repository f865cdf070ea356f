"""Writer of MODEL_ZOO.md: the authors' published results, our speeds, and the command for each row.

    python docs/make_model_zoo.py

Reads docs/data/published_results.json (the authors' tables), docs/data/measured_speed.json (speeds measured here) and
networks/published_weights.json (files, numbers of parameters).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
CHECKED = """\
Every family reproduces outputs recorded from its authors' code: the network, segmented clips and a training step. The
authors' checkpoint files have not been tested, because their hosts could not be reached; only the names and shapes of
their tensors were checked, against recorded lists. Published scores are the authors' and were not measured with this
code."""
"""Paragraph that README.md repeats."""

CARD = "[six sequences](pretrain_models/deaott_open.md)"

Row = dict[str, str]
Table = dict[str, Any]


@dataclass(frozen=True)
class Benchmark:
    """A table of a source: our name of the dataset, its split, and further flags of ``voskit eval``."""

    dataset: str
    split: str = ""
    flags: str = ""
    note: str = ""

    def command(self, *, names_variant: bool) -> str:
        """Return the command that runs MODEL, with its main variant or VARIANT."""
        weights = " --ckpt_path $(voskit weights MODEL --variant VARIANT)" if names_variant else ""
        split = f" --split {self.split}" if self.split else ""
        return f"voskit eval --model MODEL{weights} --dataset {self.dataset}{split}{self.flags} --data_root DIR"


@dataclass(frozen=True)
class Family:
    """A section of the page."""

    title: str
    family: str
    """Its key in published_weights.json."""
    source: str
    """Its results in published_results.json."""
    repository: str
    papers: str
    row: Callable[[Row, Table], tuple[str, str]]
    """Our model's name and variant for a row."""
    benchmarks: dict[str, Benchmark]
    notes: str = ""
    text: str = ""
    dropped: tuple[str, ...] = field(default=("Model", "Stage"))
    """Columns that our names of model and variant replace."""


def aot_row(row: Row, table: Table) -> tuple[str, str]:
    """Return model and variant of a row of AOT's or DeAOT's tables."""
    return row["Model"].lower().replace("-", "_"), row["Stage"]


def xmem_row(row: Row, table: Table) -> tuple[str, str]:
    """Return model and variant of a row of XMem's tables."""
    return row["Model"].partition(" ")[0].lower().replace("-", "_"), "default"


def jointformer_row(row: Row, table: Table) -> tuple[str, str]:
    """Return model and variant of a row of JointFormer's tables."""
    return "jointformer", row["Training Stage"]


def referformer_row(row: Row, table: Table) -> tuple[str, str]:
    """Return model and variant of a row of ReferFormer's tables. A star means: without RefCOCO before."""
    backbone = row["Backbone"].rstrip("*")
    short = {"ResNet-": "r", "Video-Swin-": "vswin", "Swin-": "swin"}
    start = next(name for name in short if backbone.startswith(name))
    model = f"{short[start]}{backbone.removeprefix(start).lower()}_referformer"
    variant = {"A2D-Sentences": "a2d", "JHMDB-Sentences": "a2d", "RefCOCO/+/g": "refcoco"}.get(table["table"], "ytvos")
    if "Joint" in (table["note"] or ""):
        variant = "joint"
    return model, f"{variant}_scratch" if row["Backbone"].endswith("*") else variant


FAMILIES = (
    Family(
        "AOT and DeAOT",
        "aot deaot",
        "aot-benchmark model zoo (repository)",
        "yoxu515/aot-benchmark",
        "Z. Yang, Y. Wei, Y. Yang, NeurIPS 2021 (arXiv 2106.02638); Z. Yang, Y. Yang, NeurIPS 2022 (arXiv 2210.09782)",
        aot_row,
        {
            "YouTube-VOS 2018 val": Benchmark(
                "youtubevos2018", "val", note="Rows with All-F: `--split val_all_frames`."
            ),
            "YouTube-VOS 2019 val": Benchmark(
                "youtubevos2019", "val", note="Rows with All-F: `--split val_all_frames`."
            ),
            "DAVIS-2017 test": Benchmark("davis2017", "test"),
            "DAVIS-2017 val": Benchmark("davis2017", "val"),
            "DAVIS-2016 val": Benchmark("davis2016", "val"),
        },
        notes="The source has no DAVIS results for DeAOT. All-F: all frames of the videos, instead of every fifth one.",
    ),
    Family(
        "XMem",
        "xmem",
        "XMem results page",
        "hkchengrex/XMem",
        "H. K. Cheng, A. G. Schwing, ECCV 2022 (arXiv 2207.07115)",
        xmem_row,
        {
            "Long-Time Video (1X)": Benchmark("longvideo", "1x", " --short_edge -1 --set mem_every=10"),
            "Long-Time Video (3X)": Benchmark("longvideo", "3x", " --short_edge -1 --set mem_every=10"),
            "DAVIS 2016": Benchmark("davis2016", "val"),
            "DAVIS 2017 validation": Benchmark("davis2017", "val"),
            "DAVIS 2017 test-dev": Benchmark(
                "davis2017",
                "test",
                note="600p: `--short_edge 600 --full_resolution --results_at 480p`. J and F of `xmem_s2` are as "
                "published, but their mean is not the published J&F.",
            ),
            "YouTubeVOS 2018 validation": Benchmark("youtubevos2018", "val"),
            "YouTubeVOS 2019 validation": Benchmark("youtubevos2019", "val"),
        },
        notes="`xmem_s012` was also trained on BL30K, `xmem_s2` on videos only.",
        dropped=("Model",),
    ),
    Family(
        "JointFormer",
        "jointformer",
        "JointFormer inference page",
        "MCG-NJU/JointFormer",
        "J. Zhang, Y. Cui, G. Wu, L. Wang (arXiv 2308.13505)",
        jointformer_row,
        {
            "DAVIS 2017 val": Benchmark("davis2017", "val"),
            "DAVIS 2017 test": Benchmark("davis2017", "test"),
            "Youtube-VOS 2018": Benchmark("youtubevos2018", "val"),
            "Youtube-VOS 2019": Benchmark("youtubevos2019", "val"),
            "VOST": Benchmark("vost"),
            "MOSE": Benchmark("mosev1", "val"),
            "LVOS val": Benchmark("lvos", "val", note="F of `s02` is as published; its mean implies 67.5."),
            "LVOS test": Benchmark("lvos", "test"),
            "VISOR": Benchmark("visor", note="J & F unseen: `--split val_unseen`."),
            "BURST val": Benchmark("burst", "val"),
            "BURST test": Benchmark("burst", "test"),
        },
        text="""\
A variant is named after its [training stages](docs/training.md#jointformer). `voskit eval` applies the authors'
settings for each dataset; `--set` and `--max_memory_frames` override them:

| dataset | frames kept, not counting the last one | `topk_num` |
| --- | ---: | ---: |
| `davis2017` | 1 | 60 |
| `youtubevos2018`, `youtubevos2019`, `lvos` | 3 | 120 |
| `vost`, `burst` | 3 | 30 |
| `mosev1` | 3 | 180 |
| `visor` | 1 | 600 |""",
        dropped=("Training Stage",),
    ),
    Family(
        "ReferFormer",
        "referformer",
        "ReferFormer README",
        "wjn922/ReferFormer",
        "J. Wu, Y. Jiang, P. Sun, Z. Yuan, P. Luo, CVPR 2022 (arXiv 2201.00487)",
        referformer_row,
        {
            "Ref-Youtube-VOS": Benchmark("refytvos", "val"),
            "Ref-DAVIS17": Benchmark("refdavis17", note="The source doesn't name the variant; it is probably `ytvos`."),
            "A2D-Sentences": Benchmark("a2d", note="Scratch: `--frames 6`."),
            "JHMDB-Sentences": Benchmark("jhmdb", note="Scratch: `--frames 6`."),
            "RefCOCO/+/g": Benchmark(
                "",
                note="These are images; no command runs them here. The source has two groups of rows and doesn't "
                "name their measures.",
            ),
        },
        notes="""\
These models take text prompts ([docs/referring.md](docs/referring.md)). Parameters include RoBERTa's 124.65 M. For
*CFBI J&F*, CFBI propagated the mask of the best frame; here, `--propagate r50_deaotl` does this with another model.""",
        dropped=("Backbone",),
    ),
)
BENCHMARK_NAMES = {"\\mathcal{V}\\downarrow": "V (lower is better)", "J_{tr}": "J_tr", "\\Delta_{tr}": "Delta_tr"}


class Zoo:
    """The data of the page."""

    def __init__(self) -> None:
        self.results: list[Table] = read("docs/data/published_results.json")
        self.catalog = read("networks/published_weights.json")
        self.parameters: dict[str, float] = self.catalog["million_parameters"]
        self.runs = read("docs/data/measured_speed.json")
        self.seconds = {model: s for run in self.runs for model, s in run["seconds_per_frame"].items()}

    def speed(self, model: str) -> str:
        """Return our seconds per frame; XMem's sibling checkpoints have the network that was measured."""
        model = "xmem" if model in ("xmem_s012", "xmem_s2") else model
        if model not in self.seconds:
            return ""
        return f"{self.seconds[model]:.{2 if self.seconds[model] < 10 else 1}f}"

    def files(self, family: Family) -> list[Row]:
        """Return a family's published files."""
        return [row for key in family.family.split() for row in self.catalog["families"][key]["files"]]

    def main_variant(self, family: Family) -> str:
        """Return the variant that ``pretrained=True`` takes."""
        return str(self.catalog["families"][family.family.split()[0]]["main_variant"])

    def score(self, family: Family, names: Sequence[str], columns: Sequence[str], model: str, variant: str) -> str:
        """Return the published score of a model in the first of some tables that has it, not of all-frames rows."""
        for table in self.results:
            if table["source"] != family.source or table["table"] not in names:
                continue
            for row in table["rows"]:
                if family.row(row, table) == (model, variant) and "All-F" not in row:
                    return next(row[column] for column in columns if column in row)
        return ""


def read(path: str) -> Any:
    """Return the content of a JSON file of the repository."""
    return json.loads((ROOT / path).read_text(encoding="utf-8"))


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table; columns of numbers are aligned to the right."""
    rows = [list(row) for row in rows]
    numeric = [all(re.fullmatch(r"([-+]?\d[\d.±]*( on .*)?)?", row[i]) for row in rows) for i in range(len(header))]
    rule = ["---:" if is_number else "---" for is_number in numeric]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, rule, *rows))


def overview(zoo: Zoo) -> str:
    """Return the table of all models with published weights that propagate masks."""
    davis, ytvos = (
        ("DAVIS-2017 val", "DAVIS 2017 validation", "DAVIS 2017 val"),
        (
            "YouTube-VOS 2018 val",
            "YouTubeVOS 2018 validation",
            "Youtube-VOS 2018",
        ),
    )
    rows = [("`deaott`, bundled", "6.9", f"83.6 on {CARD}", "", "", "`voskit demo`")]
    for family in FAMILIES[:3]:
        variant = zoo.main_variant(family)
        for model in dict.fromkeys(row["model"] for row in zoo.files(family)):
            scores = [
                zoo.score(family, names, ("Mean", "J&F", "J & F", "G"), model, variant) for names in (davis, ytvos)
            ]
            # deaott without a variant is the bundled one
            choice = f" --ckpt_path $(voskit weights {model} --variant {variant})" if model == "deaott" else ""
            command = f"`voskit demo --model {model}{choice}`"
            rows.append((f"`{model}`", f"{zoo.parameters[model]:.1f}", *scores, zoo.speed(model), command))
    header = ("model", "params (M)", "DAVIS 2017 val J&F", "YouTube-VOS 2018 val G", "s/frame, 2 CPU cores", "command")
    return table(header, rows)


def weights_table(zoo: Zoo, family: Family) -> str:
    """Return the table of a family's models and variants; main variants are bold."""
    files = zoo.files(family)
    main = zoo.main_variant(family)
    rows = []
    for model in dict.fromkeys(row["model"] for row in files):
        variants = [row["variant"] for row in files if row["model"] == model]
        names = ", ".join(f"**{v}**" if v == main and model != "deaott" else v for v in variants)
        rows.append((f"`{model}`", f"{zoo.parameters[model]:.2f}", names, zoo.speed(model)))
    return table(("model", "params (M)", "variants", "s/frame, 2 CPU cores"), rows)


def results_table(zoo: Zoo, family: Family, results: Table) -> str:
    """Return a published table with our names of models and variants, our speed, and the command that runs it."""
    keys = [key for key in dict.fromkeys(k for row in results["rows"] for k in row) if key not in family.dropped]
    rows = []
    for row in results["rows"]:
        model, variant = family.row(row, results)
        mark = " (600p)" if "600p" in row.get("Model", "") else ""
        cells = ["yes" if row.get(key) == "√" else row.get(key, "") for key in keys]
        rows.append((f"`{model}`{mark}", variant, *cells, zoo.speed(model)))
    names = [BENCHMARK_NAMES.get(key, key) for key in keys]
    benchmark = family.benchmarks[results["table"]]
    main = zoo.main_variant(family)
    # deaott's main variant is the bundled one
    has_others = any(row[0] == "`deaott`" or row[1] != main for row in rows)
    note = f": {results['note'].rstrip('.').replace('Joint', 'joint', 1)}" if results["note"] else ""
    lines = [f"### {results['table']}{note}", "", table(("model", "variant", *names, "s/frame here"), rows)]
    if benchmark.dataset:
        lines += ["", f"Run: `{benchmark.command(names_variant=has_others)}`"]
    if benchmark.note:
        lines += ["", benchmark.note]
    return "\n".join(lines)


def section(zoo: Zoo, family: Family) -> str:
    """Return the section of a family."""
    tables = [results for results in zoo.results if results["source"] == family.source]
    parts = [
        f"## {family.title}",
        f"{family.papers}. Weights and results: [{family.repository}](https://github.com/{family.repository}).",
        *filter(None, [family.notes]),
        weights_table(zoo, family),
        *filter(None, [family.text]),
        *(results_table(zoo, family, results) for results in tables),
    ]
    return "\n\n".join(parts)


def unpublished(zoo: Zoo) -> str:
    """Return the section of models without published weights."""
    published = {row["model"] for family in FAMILIES for row in zoo.files(family)}
    rows = [(f"`{m}`", f"{n:.2f}", zoo.speed(m)) for m, n in zoo.parameters.items() if m not in published]
    text = """\
## Models without published weights

They can be trained here ([docs/training.md](docs/training.md)). AOST (Z. Yang et al., TPAMI 2024, arXiv 2203.11442)
runs at a depth that you choose at run time ([docs/depth.md](docs/depth.md)); the table shows depth 3. `xmem_s0` and
`jointformer_s0` are the first stages of XMem and JointFormer."""
    return f"{text}\n\n{table(('model', 'params (M)', 's/frame, 2 CPU cores'), rows)}"


def measurements(zoo: Zoo) -> str:
    """Return the section on measurements of this project."""
    rows = [
        (
            ", ".join(f"`{m}`" for m in list(run["seconds_per_frame"])[:3])
            + (", ..." if len(run["seconds_per_frame"]) > 3 else ""),
            run["machine"],
            run["setting"],
            f"`{run['command']}`",
        )
        for run in zoo.runs
    ]
    text = """\
## Measured here

The bundled `deaott` ([card](pretrain_models/deaott_open.md)) has J&F 83.6 on six sequences of DAVIS 2017 val that it
was not trained on (`voskit eval --dataset davis2017`, 480p, float32). An AOT-Tiny that was trained for two hours on two
CPU cores has J&F 67.9 on 329 frames of these sequences, with this code and with the authors'.

Speeds are seconds from a decoded frame to its mask. Figures from one run are comparable to about 10 %; those from
different runs or machines are not."""
    return f"{text}\n\n{table(('models', 'machine', 'setting', 'command'), rows)}"


def page() -> str:
    """Return MODEL_ZOO.md."""
    zoo = Zoo()
    intro = f"""\
# Model zoo

<!-- written by docs/make_model_zoo.py: edit that, or its data in docs/data -->

`voskit demo --model r50_deaotl` and `build_model("r50_deaotl", pretrained=True)` download the weights of the model's
main variant once; it is bold below. For other variants, use `--ckpt_path $(voskit weights MODEL --variant VARIANT)` or
`pretrained="VARIANT"`. For details, see [docs/weights.md](docs/weights.md).

{CHECKED}

{overview(zoo)}

For text prompts, see [ReferFormer](#referformer). In the tables below, FPS is as published, on the authors' hardware;
s/frame is [measured here](#measured-here)."""
    parts = [intro, *(section(zoo, family) for family in FAMILIES), unpublished(zoo), measurements(zoo)]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    (ROOT / "MODEL_ZOO.md").write_text(page(), encoding="utf-8")
