"""Packs what a machine without a network needs for a GPU day: `python -m gpu.pack CARRY [--glue DIR]`."""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

from gpu.needs import FURTHER, ROOT

WHOLE = 64 * 2**20
"""The most bytes that checkout and carried files may have together."""

HEAVY = 46 * 10**6
"""The most bytes of weights and wheels."""

WHEELS = (
    *("datasets", "evaluate", "jaxtyping", "accelerate", "safetensors"),
    *(name for name in FURTHER if name not in ("pyarrow", "pytest")),
)
"""The packages that are carried, in the locked versions; pyarrow and transformers are too large."""

TASKS = {"QNLI": ("question", "sentence", "label"), "STS-B": ("sentence1", "sentence2", "score")} | {
    "MRPC": ("#1 String", "#2 String", "Quality"),
    "MNLI": ("sentence1", "sentence2", "gold_label"),
}
"""The folders of GLUE that the study reads, and their columns that it uses."""

TRAIN_ROWS = 10_000
"""The train rows of a task that are carried: those that the study trains on, and ten times its validation set."""


def pack_model(folder: Path, archive: Path) -> None:
    """Pack MiniLM, or another BERT that is read by its mean, in float16, as a folder that `load_model` reads.

    Args:
        folder: the model and its tokenizer.
        archive: the zip file to write.
    """
    import torch
    from safetensors.torch import load_file, save

    weights = load_file(folder / "model.safetensors")
    weights = {
        name: weight.to(torch.float16)
        for name, weight in weights.items()
        if weight.is_floating_point() and not name.startswith("pooler.")
    }
    config = json.loads((folder / "config.json").read_text("utf-8"))
    config |= {"model_type": "mean-pooled-bert", "architectures": ["MeanPooledBertForSequenceClassification"]}
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("model.safetensors", save(weights, {"format": "pt"}))
        file.writestr("config.json", json.dumps(config, indent=2))
        for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
            if (folder / name).is_file():
                file.write(folder / name, name)


def pack_glue(folder: Path, archive: Path, train_rows: int = TRAIN_ROWS) -> None:
    """Pack the GLUE files that the study reads: all test rows, the first train rows, and the columns that it uses.

    Args:
        folder: GLUE's TSV files.
        archive: the zip file to write.
        train_rows: the number of train rows of each task.
    """
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for task, columns in TASKS.items():
            if not (folder / task / "train.tsv").is_file():
                raise FileNotFoundError(
                    f"{folder / task / 'train.tsv'} is missing; give a folder with GLUE's TSV files"
                )
            for path in sorted((folder / task).glob("*.tsv")):
                if path.stem != "train" and not path.stem.startswith("dev"):
                    continue
                header, *lines = path.read_text("utf-8-sig").removesuffix("\n").split("\n")
                rows = [line.removesuffix("\r").split("\t") for line in lines]
                rows = [header.removesuffix("\r").split("\t"), *rows[: train_rows if path.stem == "train" else None]]
                kept = [rows[0].index(name) for name in columns]
                rows = [[row[place] for place in kept] for row in rows if len(row) > max(kept)]
                file.writestr(f"{task}/{path.name}", "".join("\t".join(row) + "\n" for row in rows))


def download_wheels(folder: Path, python: str) -> None:
    """Download the wheels for Linux on x86-64, in the versions of `requirements.lock`.

    Args:
        folder: where they are written; the wheels there are deleted first.
        python: the version of Python that they are for, such as "3.12".
    """
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.whl"):
        old.unlink()
    locked = dict(line.split("==") for line in (ROOT / "requirements.lock").read_text("utf-8").split())
    versions = {name.lower().replace("_", "-"): version for name, version in locked.items()}
    wanted = [f"{name}=={versions[name]}" for name in WHEELS]
    platforms = [f"--platform=manylinux{kind}_x86_64" for kind in ("_2_28", "_2_17", "2014")]
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    target = ["--only-binary=:all:", "--implementation=cp", f"--python-version={python}", *platforms]
    subprocess.run([*pip, *target, "--dest", str(folder), *wanted], check=True)


def checkout_bytes(root: Path = ROOT) -> int:
    """The bytes of the files of the checkout that git knows or does not ignore."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        check=True,
        capture_output=True,
    ).stdout.decode()
    paths = (root / name for name in listed.split("\0") if name)
    return sum(path.lstat().st_size for path in paths if path.is_file() or path.is_symlink())


def sizes(carry: Path, root: Path = ROOT) -> dict[str, int]:
    """The bytes of the checkout and of each part of what is carried."""
    found = {"checkout": checkout_bytes(root)}
    parts = {"minilm.zip": "weights", "glue.zip": "GLUE", "wheels": "wheels"}
    for path in sorted(carry.iterdir()):
        files = [file for file in (path.rglob("*") if path.is_dir() else [path]) if file.is_file()]
        name = parts.get(path.name, path.name)
        found[name] = sum(file.stat().st_size for file in files)
    return found


def table(found: dict[str, int]) -> str:
    """The sizes as a table for a terminal."""
    rows = {**found, "whole": sum(found.values()), "limit": WHOLE}
    return "\n".join(f"{name:<12} {size:>12,} bytes {size / 2**20:7.1f} MiB" for name, size in rows.items())


def too_large(found: dict[str, int]) -> list[str]:
    """What exceeds a limit, one sentence each."""
    heavy, whole = found.get("weights", 0) + found.get("wheels", 0), sum(found.values())
    faults = []
    if heavy > HEAVY:
        faults.append(f"weights and wheels have {heavy:,} bytes, which exceeds {HEAVY:,}; carry fewer wheels")
    if whole > WHOLE:
        faults.append(
            f"checkout and carried files have {whole:,} bytes, which exceeds {WHOLE:,}; remove the largest of them"
        )
    return faults


def main() -> int:
    """Pack everything, print the sizes, and return 1 if they exceed a limit."""
    parser = argparse.ArgumentParser(prog="gpu.pack", description=__doc__)
    parser.add_argument("carry", type=Path, metavar="CARRY", help="folder to write")
    parser.add_argument("--glue", type=Path, metavar="DIR", help="folder of GLUE's TSV files")
    parser.add_argument("--python", default="3.12", help="version of the machine's Python (default: 3.12)")
    options = parser.parse_args()
    if not re.fullmatch(r"3\.\d+", options.python):
        parser.error(f"--python must be a version such as 3.12, got {options.python!r}")
    from randprune_lab.models.known import packaged_folder

    options.carry.mkdir(parents=True, exist_ok=True)
    pack_model(Path(packaged_folder("minilm")), options.carry / "minilm.zip")
    download_wheels(options.carry / "wheels", options.python)
    if options.glue is not None:
        pack_glue(options.glue, options.carry / "glue.zip")
    found = sizes(options.carry)
    print(table(found))
    for fault in (faults := too_large(found)):
        print(f"gpu-pack: {fault}", file=sys.stderr)
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
