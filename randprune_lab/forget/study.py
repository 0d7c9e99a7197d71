"""What the pruned models of a study lose, with the texts of the examples where they are at hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from randprune_lab.analysis.forgetting import (
    RATE,
    losses,
    losses_by_label,
    lost_consistently,
    phenomena_losses,
    shared_losses,
)
from randprune_lab.analysis.recorded import FILE
from randprune_lab.analysis.shipped import task_records
from randprune_lab.analysis.task_record import TaskRecord
from randprune_lab.errors import ConfigError, DataError, FileError, RunError, unknown_name
from randprune_lab.files import given_path
from randprune_lab.search.config import RunConfig
from randprune_lab.study.config import CONTROLS, StudyConfig
from randprune_lab.study.grid import Grid
from randprune_lab.study.recording import finished_records
from randprune_lab.study.verify import read_test_set
from randprune_lab.tasks.mini_glue import phenomena_of
from randprune_lab.tasks.spec import TASKS, task_title

if TYPE_CHECKING:
    import pandas as pd


class Texts(NamedTuple):
    """The texts of a task's test examples, none if its data are not at hand, and the names of its labels."""

    texts: list[tuple[str, ...]]
    labels: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Forgotten:
    """What the pruned models of a study lose. The tables are those of `analysis.forgetting`.

    Args:
        name: the name of the study's folder.
        seeds, methods: what was compared.
        rate: the false discovery rate of `consistently`.
        losses, by_label, shared: the tables of all tasks.
        consistently: the table of the tasks with two seeds or more; None if there is none.
        phenomena: the table of the generated tasks; None if there is none.
        texts: the texts and labels of all tasks but custom ones whose data are not at hand.
        left_out: what is missing, a line each.
    """

    name: str
    seeds: tuple[int, ...]
    methods: tuple[str, ...]
    rate: float
    losses: pd.DataFrame
    by_label: pd.DataFrame
    shared: pd.DataFrame
    consistently: pd.DataFrame | None
    phenomena: pd.DataFrame | None
    texts: Mapping[str, Texts]
    left_out: tuple[str, ...]

    @classmethod
    def find(
        cls,
        folder: str | Path,
        *,
        methods: Sequence[str] = (),
        rate: float = RATE,
        glue_dir: str | None = None,
    ) -> Forgotten:
        """Find what the models of a study lose.

        Args:
            folder: the folder of a study, or of its record.
            methods: the methods to compare, by default all.
            rate: the false discovery rate, more than 0 and less than 1.
            glue_dir: the folder of GLUE's files, for the texts of its tasks.

        Raises:
            FileError, RunError: if there is no study, or it is damaged, or one of `methods` is not finished.
            UnknownNameError: if the study has no such method.
            DataError: if no task has labels, or the data are not those of the study.
        """
        folder = given_path(folder)
        if not (records := _records(folder)):
            raise RunError(f"no method in {folder} is finished yet; go on with randprune study --resume")
        config = StudyConfig.load_json(folder / FILE)
        left_out = [
            f"{task_title(task)}: a score is not right or wrong" for task in _tasks(records) if _scored(records, task)
        ]
        records = [record for record in records if record.labels.dtype.kind != "f"]
        if not records:
            raise DataError(
                f"{folder} has only tasks with scores, which are not right or wrong; give a study of a task with labels"
            )
        unfinished = {name: _unfinished(name, records) for name in config.methods}
        for name in methods:
            if name not in unfinished:
                raise unknown_name("method", name, unfinished)
            if unfinished[name]:
                raise RunError(f"{unfinished[name]}; leave it out of --methods, or go on with --resume")
        chosen = tuple(dict.fromkeys(methods or [name for name, missing in unfinished.items() if not missing]))
        if not chosen:
            raise DataError(f"{folder}: no method is finished for all tasks and seeds; go on with --resume")
        if not methods:
            left_out += filter(None, unfinished.values())
        texts: dict[str, Texts] = {}
        phenomena, without = {}, []
        for task in _tasks(records):
            of_task = [record for record in records if record.task == task]
            settings = _with_data(config.run_config(CONTROLS, task, config.seeds[0]), glue_dir)
            try:
                found = None if settings is None else _texts(settings, of_task[0])
            except (ConfigError, DataError, FileError):  # a ConfigError: too few rows for the study's train_size
                if glue_dir:
                    raise
                found = None
            if found is None:
                without.append(task_title(task))
            if found is not None or task in TASKS:
                texts[task] = found or Texts([], TASKS[task].labels)
            if settings is not None and settings.mini_glue is not None:
                phenomena[task] = phenomena_of(settings.mini_glue)
        if without:
            left_out.append(f"no texts of {', '.join(without)}: the data are not at hand; for GLUE, give --glue-dir")
        several = [one for one in records if sum(each.task == one.task for each in records) > 1]
        if len(several) < len(records):
            left_out.append("consistently lost: only for tasks with two seeds or more")
        shared = shared_losses(records, chosen)
        if shared.empty:
            left_out.append("whether models get the same wrong: only with two methods or two seeds of a task")
        return cls(
            name=folder.resolve().name,
            seeds=tuple(sorted({record.seed for record in records})),
            methods=chosen,
            rate=rate,
            losses=losses(records, chosen),
            by_label=losses_by_label(records, chosen),
            shared=shared,
            consistently=lost_consistently(several, chosen, rate) if several else None,
            phenomena=phenomena_losses(records, phenomena, chosen) if phenomena else None,
            texts=texts,
            left_out=tuple(left_out),
        )


def _records(folder: Path) -> list[TaskRecord]:
    if (folder / "runs").is_dir():
        return list(finished_records(Grid.load(folder)))
    if not (folder / FILE).is_file():
        raise FileError(f"{folder} has no study: no {FILE}; give the folder of a study, or of its record")
    return task_records(folder)


def _tasks(records: Sequence[TaskRecord]) -> list[str]:
    return list(dict.fromkeys(record.task for record in records))


def _scored(records: Sequence[TaskRecord], task: str) -> bool:
    return any(record.labels.dtype.kind == "f" for record in records if record.task == task)


def _unfinished(method: str, records: Sequence[TaskRecord]) -> str:
    """Where a method is not finished, as text; empty if it is finished everywhere."""
    places = [f"{task_title(record.task)} seed {record.seed}" for record in records if method not in record.methods]
    more = f" and {len(places) - 3} more" if len(places) > 3 else ""
    return f"{method}: not finished for {', '.join(places[:3])}{more}" if places else ""


def _with_data(config: RunConfig, glue_dir: str | None) -> RunConfig | None:
    """The settings with data that can be read here, without a network; None if there are none."""
    if config.mini_glue is not None:
        return config
    if config.data is not None:
        # A record has the name alone, and a file of that name may be another one.
        return config if Path(config.data).is_absolute() and Path(config.data).exists() else None
    glue_dir = glue_dir or config.glue_dir
    return replace(config, glue_dir=glue_dir) if glue_dir else None


def _texts(config: RunConfig, record: TaskRecord) -> Texts:
    task, rows = read_test_set(config)
    if not np.array_equal(np.array(rows["label"]), record.labels):
        raise DataError(
            f"{record.task}: the test examples in the data are not those of the record; give the data of the study"
        )
    fields = [rows[field] for field in task.text_fields]
    return Texts(list(zip(*fields, strict=True)), task.labels)
