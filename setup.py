"""Package of the framework: the rooms of the house are its top-level packages."""

from setuptools import find_packages, setup

ROOMS = ("configs", "networks", "dataloaders", "trainers", "evaluators", "tools")

setup(
    name="vos-framework",
    version="0.1.0",
    description="Video object segmentation: AOT, DeAOT and more, for research and for your own videos",
    license="BSD-3-Clause",
    python_requires=">=3.10",
    packages=find_packages(include=[pattern for room in ROOMS for pattern in (room, f"{room}.*")]),
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
        "av>=15",  # reading and writing video
        "tqdm",
        "tyro",  # command lines from dataclasses
        "pycocotools",  # run-length encoded masks
    ],
    extras_require={  # pytest-xdist: tests side by side
        "correlation": ["spatial-correlation-sampler"],
        "referring": ["transformers"],  # RoBERTa and its tokenizer
        "app": ["gradio>=6"],  # the page of tools/app.py
        "test": ["pytest", "pytest-xdist", "ruff", "mypy", "psutil", "transformers", "gradio>=6"],
        "dev": ["pytest", "pytest-xdist", "ruff", "mypy", "psutil", "transformers", "gradio>=6", "matplotlib", "build"],
    },
)
