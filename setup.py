"""Packaging: the rooms at the top of the repository are installed as ``voskit.<room>``."""

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).resolve().parent
ROOMS = ("configs", "networks", "dataloaders", "trainers", "evaluators", "tools")
# folders of data become packages without modules, so that their files lie below voskit/ in a wheel
DATA = {
    "voskit.pretrain_models": "pretrain_models",
    "voskit.datasets": "datasets",
}

room_packages = find_packages(include=[pattern for room in ROOMS for pattern in (room, f"{room}.*")])
version = re.search(r'__version__ = "(.+)"', (ROOT / "voskit/__init__.py").read_text(encoding="utf-8"))
assert version is not None
annotate = [
    "starlette",  # the annotation server
    "uvicorn",  # runs it
    "python-multipart",  # its uploads
]
packaging = ["build", "setuptools>=77", "twine"]
onnx = ["onnx", "onnxscript", "onnxruntime"]  # exported models; onnxruntime alone runs them
test = ["pytest", "pytest-xdist", "ruff", "mypy", "psutil", *packaging, *onnx, "transformers", *annotate, "httpx"]
test += [
    "playwright",  # walks through the annotation page, in the system's Chromium
    "fastapi",  # the web server of docs/cookbook.md
    "openvino",  # another runtime of exported models
]


def index_page() -> str:
    """Return the README without pictures and links of the repository, which the package index can't follow."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    text = re.sub(r"!\[[^\]]*\]\((?!https?:)[^)]*\)\n?", "", text)
    text = re.sub(r'<img [^>]*src="(?!https?:)[^>]*>\n?', "", text)
    return re.sub(r"\[([^\]]+)\]\((?!https?:|#)[^)]*\)", r"\1", text)


setup(
    name="voskit",
    description="Video object segmentation in PyTorch: AOT, DeAOT, AOST, XMem, JointFormer and ReferFormer",
    long_description=index_page(),
    long_description_content_type="text/markdown",
    license_expression="BSD-3-Clause",
    license_files=["LICENSE"],
    python_requires=">=3.10",
    keywords=["video object segmentation", "VOS", "tracking", "AOT", "DeAOT", "XMem", "annotation"],
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Science/Research",
        "Operating System :: OS Independent",
        "Programming Language :: Python :: 3",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Topic :: Scientific/Engineering :: Image Recognition",
    ],
    project_urls={
        "AOT": "https://arxiv.org/abs/2106.02638",
        "DeAOT": "https://arxiv.org/abs/2210.09782",
        "AOST": "https://arxiv.org/abs/2203.11442",
        "XMem": "https://arxiv.org/abs/2207.07115",
        "JointFormer": "https://arxiv.org/abs/2308.13505",
        "ReferFormer": "https://arxiv.org/abs/2201.00487",
    },
    version=version[1],
    packages=[*find_packages(include=["voskit", "voskit.*"]), *(f"voskit.{name}" for name in room_packages), *DATA],
    package_dir={**{f"voskit.{room}": room for room in ROOMS}, **DATA},
    package_data={
        "voskit": ["py.typed"],
        "voskit.pretrain_models": ["deaott_open.*", "roberta-base/*"],
        "voskit.datasets": [
            *("Demo/README.md", "Demo/images/*.mp4", "Demo/images/*/*", "Demo/masks/*/*"),
            *("Probe/*.md", "Probe/*.py", "Probe/scenes/*.py", "Synthetic/synthesis/*.py"),  # voskit compare makes it
        ],
        **{f"voskit.{room}": ["**/*.json", "**/*.html", "**/*.css", "**/*.js", "**/*.svg"] for room in ROOMS},
    },
    install_requires=[
        "torch>=2.7",
        "torchvision",
        "timm>=1.0",  # ResNeSt encoders
        "numpy",
        "pillow>=10.1",  # palette PNGs; its own TrueType font for labels
        "opencv-python-headless",  # the bicubic interpolation that published results were made with
        "scipy",  # one-to-one matching of proposals and objects
        "scikit-image",  # regions and contours
        "tensorboard",
        "safetensors",
        "av>=17",  # reading and writing video; earlier versions convert colors wrongly
        "tqdm",
        "gdown>=6.5",  # resumable downloads of published weights, from Google Drive and other hosts
        "tyro",  # command lines from dataclasses
        "docstring-parser",  # help texts of flags; tyro needs it, too
        "pycocotools",  # run-length encoded masks
        "fsspec",  # batches from and to object storage; torch needs it, too
    ],
    extras_require={
        "correlation": ["spatial-correlation-sampler"],
        "onnx": onnx,
        "openvino": ["openvino"],  # another runtime of exported models, faster with bfloat16
        "prompts": ["transformers"],  # SAM and SAM 2
        "ray": ["ray"],  # voskit batch on a cluster
        "referring": ["transformers"],  # RoBERTa and its tokenizer
        "synthetic": ["pybullet"],  # datasets/Synthetic/make_rendered.py
        "annotate": annotate,
        "test": test,
        "dev": [*test, "matplotlib"],
    },
    entry_points={"console_scripts": ["voskit = voskit.__main__:main"]},
)
