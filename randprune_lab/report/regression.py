"""The regression check of a whole report: compare the key figures with the expected ones, or record new ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from randprune_lab.errors import ConfigError, FileError
from randprune_lab.report.check import Check, compare, describe_checks
from randprune_lab.report.expected import Expected, expected_path, read_expected, write_expected
from randprune_lab.report.results import NotebookResult

CheckMode = Literal["compare", "update"]


@dataclass(frozen=True)
class Regression:
    """The check of a report: its mode and the expected key figures.

    Args:
        mode: "compare" the key figures, "update" the expected ones, or None for neither.
        profile: the profile that the notebooks are run with.
        path: the file of the expected key figures.
        expected: the expected key figures by notebook, including notebooks that this report does not run.
        names: the names of all notebooks in the folder.
    """

    mode: CheckMode | None
    profile: str
    path: Path
    expected: Expected
    names: frozenset[str]

    @classmethod
    def prepare(
        cls,
        mode: CheckMode | None,
        profile: str,
        notebooks: Path,
        folder: Path | None,
        parameters: Mapping[str, Any],
        only: str | None,
    ) -> Regression:
        """Read the expected key figures, before any notebook runs.

        Args:
            notebooks: the folder of the notebooks.
            folder: the folder of the expected key figures; None for `data/expected` beside the notebooks' folder.
            parameters: parameters that are set for this report; a check allows none.
            only: the beginning of the names of the notebooks that the report runs; None for all.

        Raises:
            ConfigError: if parameters are set.
            FileError: if the expected key figures are missing, cannot be read, or belong to a selected notebook that
                does not exist.
        """
        path = expected_path(profile, notebooks, folder)
        names = frozenset(path.stem for path in notebooks.glob("*.ipynb"))
        if mode is None:
            return cls(None, profile, path, {}, names)
        if parameters:
            given = ", ".join(sorted(parameters))
            raise ConfigError(
                f"expected key figures are valid only for the parameters in the notebooks, but {given} is set; "
                "leave out the parameters, or leave out the check"
            )
        expected = read_expected(path) if mode == "compare" or path.exists() else {}
        gone = sorted(name for name in set(expected) - names if name.startswith(only or ""))
        if mode == "compare" and gone:
            raise FileError(
                f"{path} has expected key figures of {', '.join(gone)}, but {notebooks} has no such notebook; "
                "restore the notebook, or remove its key figures with --update"
            )
        return cls(mode, profile, path, expected, names)

    def checked(self, result: NotebookResult) -> NotebookResult:
        """The result with its check if the mode is "compare"; a failed notebook, which lacks key figures, has none."""
        return (
            replace(result, check=self._check(result)) if self.mode == "compare" and result.status == "ok" else result
        )

    def conclude(self, results: Sequence[NotebookResult]) -> None:
        """Print the outcome and, in mode "update", record the key figures of the notebooks that ran to their end."""
        if self.mode is None:
            return
        ran = {result.name: result for result in results if result.status == "ok"}
        checks = {name: self._check(result) for name, result in ran.items()}
        print(describe_checks(checks))
        if self.mode == "compare" and not all(check.passed for check in checks.values()):
            print(f"key figures differ from {self.path}; if the change is intended, record it with --update")
        if self.mode == "update":
            kept = {name: figures for name, figures in self.expected.items() if name in self.names}
            write_expected(self.path, self.profile, kept | {name: result.key_figures for name, result in ran.items()})
            print(f"expected key figures: {self.path}")

    def _check(self, result: NotebookResult) -> Check:
        return compare(self.expected.get(result.name), result.key_figures)
