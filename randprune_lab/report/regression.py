"""The regression check of a whole report: compare with the expected key figures, or record new ones."""

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
    """What a report is held to.

    Args:
        mode: None if it is held to nothing.
        expected: by notebook; those that the report does not run included.
        names: all notebooks that there are.
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
        folder: str | Path | None,
        parameters: Mapping[str, Any],
        only: str | None,
    ) -> Regression:
        """Read what is expected, before anything runs.

        Raises `ConfigError` for parameters of one's own, `FileError` for expected key figures that are missing, cannot
        be read, or belong to a selected notebook that does not exist.
        """
        path = expected_path(profile, notebooks, Path(folder) if folder is not None else None)
        names = frozenset(path.stem for path in notebooks.glob("*.ipynb"))
        if mode is None:
            return cls(None, profile, path, {}, names)
        if parameters:
            given = ", ".join(sorted(parameters))
            raise ConfigError(
                f"expected key figures hold for the notebooks' own parameters, but {given} is set; "
                "leave out the parameters, or the check"
            )
        expected = read_expected(path) if mode == "compare" or path.exists() else {}
        gone = sorted(name for name in set(expected) - names if name.startswith(only or ""))
        if mode == "compare" and gone:
            raise FileError(
                f"{path} expects key figures of {', '.join(gone)}, which {notebooks} does not hold; "
                "bring it back, or forget it with --update"
            )
        return cls(mode, profile, path, expected, names)

    def checked(self, result: NotebookResult) -> NotebookResult:
        """The result with its check, if there is to be one. A notebook that failed has not said all its key figures."""
        return (
            replace(result, check=self._check(result)) if self.mode == "compare" and result.status == "ok" else result
        )

    def conclude(self, results: Sequence[NotebookResult]) -> None:
        """Print what came of it and, if that is the mode, record the key figures of the notebooks that ran."""
        if self.mode is None:
            return
        ran = {result.name: result for result in results if result.status == "ok"}
        checks = {name: self._check(result) for name, result in ran.items()}
        print(describe_checks(checks))
        if self.mode == "compare" and not all(check.passed for check in checks.values()):
            print(f"the check against {self.path} failed; if the change is meant, record it with --update")
        if self.mode == "update":
            kept = {name: figures for name, figures in self.expected.items() if name in self.names}
            write_expected(self.path, self.profile, kept | {name: result.key_figures for name, result in ran.items()})
            print(f"expected key figures: {self.path}")

    def _check(self, result: NotebookResult) -> Check:
        return compare(self.expected.get(result.name), result.key_figures)
