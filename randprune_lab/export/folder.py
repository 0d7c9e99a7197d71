"""Exporting the winner of a run as a folder.

The run may come from a stranger. So the folder is not a copy: the model and the tokenizer are loaded, checked against
the record, and saved again, and the code of a model of this package comes from this package.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args

from randprune_lab.analysis.run_record import RunRecord
from randprune_lab.errors import ConfigError, FileError, RunError
from randprune_lab.export.card import model_card
from randprune_lab.files import give_usual_modes, given_path, remove_leftovers, temporary_path, writing
from randprune_lab.interop.sparse_file import SPARSE_FILE, save_sparse
from randprune_lab.masks.mask_set import MaskSet
from randprune_lab.models.quiet import quiet
from randprune_lab.search.recorded_config import resume_command
from randprune_lab.search.units import MODEL
from randprune_lab.search.winner import MODEL_FOLDER, winning_mask, winning_model

Format = Literal["dense", "sparse"]
FORMATS: tuple[Format, ...] = get_args(Format)

MASK_FILE = "mask.safetensors"

READ = ("config.json", "journal.jsonl", "environment.json", "predictions", "masks", MODEL_FOLDER)
"""What an export reads of a run folder."""

NAMES_IN = {
    "config.json": "transformers_weights",
    "tokenizer_config.json": "fast_tokenizer_files",
    "model.safetensors.index.json": "weight_map",
}
"""Files of a model that name other files, and where in them the names are."""

CODE = ("auto_map", "custom_pipelines")
"""Settings of a model that name code, which those who load it could be asked to trust."""


def export_run(run: str | Path, out: str | Path, format: Format = "dense") -> Path:
    """Write the winner of a finished run to a new folder, with its tokenizer and a model card.

    Args:
        run: a run folder. Nothing outside it is read, so it must not contain links.
        out: the new folder.
        format: "dense" writes the files of `save_pretrained`, which transformers reads, and a file with the masks.
            "sparse" writes a small file, which `load_sparse` reads.

    Returns:
        The new folder.

    Raises:
        ConfigError: if there is no such format.
        RunError: if `run` is not a run folder, or the run is not finished.
        FileError: if `out` exists or cannot be written, if the SHA-256 of masks or weights is not the recorded one, or
            if a part of the run is a link, or names a file outside the folder.
    """
    if format not in FORMATS:
        raise ConfigError(f"format must be one of {', '.join(FORMATS)}, got {format!r}")
    run, out = given_path(run), given_path(out)
    _check_files(run)
    record = RunRecord.load(run)
    if not record.finished:
        raise RunError(f"run {run} is not finished; continue with: {resume_command(run)}")
    if os.path.lexists(out):
        raise FileError(f"{out} exists; choose another folder, or remove it first")
    model, tokenizer, mask = _winner(record)
    temporary = temporary_path(out)
    try:
        with writing(out):
            out.parent.mkdir(parents=True, exist_ok=True)
            remove_leftovers(out)
            temporary.mkdir()
            _save(temporary, model, tokenizer, mask, format)
            (temporary / "README.md").write_text(model_card(record, mask, format, model.config.model_type), "utf-8")
            give_usual_modes(temporary)
            temporary.rename(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return out


def _save(folder: Path, model: Any, tokenizer: Any, mask: MaskSet, format: Format) -> None:
    for settings in (vars(model.config), tokenizer.init_kwargs):
        for name in CODE:
            settings.pop(name, None)
    with quiet():
        tokenizer.save_pretrained(folder)
        if format == "sparse":
            model.config.save_pretrained(folder)
            save_sparse(model.state_dict(), mask, folder / SPARSE_FILE)
        else:
            model.save_pretrained(folder)
            mask.save(folder / MASK_FILE)


def _winner(record: RunRecord) -> tuple[Any, Any, MaskSet]:
    """The model of the last level's winner, its tokenizer and its masks.

    Raises:
        FileError: if they are not the recorded ones.
    """
    try:
        final = record.units[MODEL]
        if final["weights"] != record.last:
            raise FileError(f"the last unit in {record.path / 'journal.jsonl'} must name {record.last}, got {final}")
        mask = winning_mask(record.path, record.units)
        return *winning_model(record.path, record.units, record.task), mask
    except FileError as error:
        again = resume_command(record.path)
        raise FileError(f"{error}; nothing was exported; restore it with: {again}") from error


def _check_files(run: Path) -> None:
    """Raise `FileError` if reading a run could lead out of its folder."""
    for path in _parts(run):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise FileError(f"{path} is a link or no plain file; replace it with the file itself, then export again")
    for file, key in NAMES_IN.items():
        for name in _names(run / MODEL_FOLDER / file, key):
            if name != Path(name).name:
                raise FileError(f"{run / MODEL_FOLDER / file} names a file outside its folder, {name!r}; correct it")


def _parts(run: Path) -> Iterator[Path]:
    """All that an export reads of a run folder, folders first; links are not followed."""
    for part in map(run.joinpath, READ):
        if os.path.lexists(part):
            yield part
            yield from part.rglob("*")


def _names(file: Path, key: str) -> list[str]:
    """The names of files under a key of a JSON file: one, a list, or a mapping; none if the file has no such key."""
    try:
        content = json.loads(file.read_text("utf-8"))[key]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return []  # if the file is damaged, loading the model says so
    values = content.values() if isinstance(content, dict) else content if isinstance(content, list) else [content]
    return [*map(str, values)]
