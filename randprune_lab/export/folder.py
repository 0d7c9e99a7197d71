"""Exporting the winner of a run as a folder."""

from __future__ import annotations

import os
import shlex
import shutil
from pathlib import Path
from typing import Literal, get_args

from torch import Tensor

from randprune_lab.analysis.run_record import RunRecord
from randprune_lab.errors import ConfigError, FileError, RunError
from randprune_lab.export.card import model_card
from randprune_lab.files import give_usual_modes
from randprune_lab.interop.sparse_file import save_sparse
from randprune_lab.masks.mask_set import MaskSet
from randprune_lab.search.units import MODEL
from randprune_lab.search.winner import winning_mask, winning_weights

Format = Literal["dense", "sparse"]
FORMATS: tuple[Format, ...] = get_args(Format)

SPARSE_FILE = "model.sparse.safetensors"
MASK_FILE = "mask.safetensors"


def export_run(run: str | Path, out: str | Path, format: Format = "dense") -> Path:
    """Write the winner of a finished run to a new folder, with its tokenizer and a model card.

    Args:
        run: a run folder.
        out: the new folder.
        format: "dense" writes the files of `save_pretrained`, which transformers reads, and a file with the masks.
            "sparse" writes a small file, which `load_sparse` reads.

    Returns:
        The new folder.

    Raises:
        ConfigError: if there is no such format.
        RunError: if `run` is not a run folder, or the run is not finished.
        FileError: if `out` exists or cannot be written, or if the SHA-256 of masks or weights is not the recorded one.
    """
    if format not in FORMATS:
        raise ConfigError(f"format must be one of {', '.join(FORMATS)}, got {format!r}")
    record, out = RunRecord.load(run), Path(out)
    if not record.finished:
        raise RunError(f"run {record.path} is not finished; continue with: randprune run --resume --out {record.path}")
    if out.exists():
        raise FileError(f"{out} exists; choose another folder, or remove it first")
    weights, mask = _winner(record)
    temporary = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    try:
        skipped = shutil.ignore_patterns("*.safetensors") if format == "sparse" else None
        shutil.copytree(record.path / record.units[MODEL]["path"], temporary, ignore=skipped)
        if format == "sparse":
            save_sparse(weights, mask, temporary / SPARSE_FILE)
        else:
            mask.save(temporary / MASK_FILE)
        (temporary / "README.md").write_text(model_card(record, mask, format), "utf-8")
        give_usual_modes(temporary)
        temporary.rename(out)
    except OSError as error:
        raise FileError(f"cannot write {out}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return out


def _winner(record: RunRecord) -> tuple[dict[str, Tensor], MaskSet]:
    """The weights and masks of the last level's winner.

    Raises:
        FileError: if they are not the recorded ones.
    """
    try:
        mask = winning_mask(record.path, record.units)
        return winning_weights(record.path, record.units, record.task), mask
    except FileError as error:
        again = f"randprune run --resume --out {shlex.quote(str(record.path))}"
        raise FileError(f"{error}; nothing was exported; restore it with: {again}") from error
