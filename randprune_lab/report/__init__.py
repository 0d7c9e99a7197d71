"""The course report: the notebooks are run without a display; each gets a page, and an index shows all of them."""

from randprune_lab.report.build import PROFILES, parse_parameters, report
from randprune_lab.report.key_figures import exact, key_figures, measured
from randprune_lab.report.lessons import lesson_settings
from randprune_lab.report.results import CellFailure, NotebookResult, ReportSummary

__all__ = [
    "PROFILES",
    "CellFailure",
    "NotebookResult",
    "ReportSummary",
    "exact",
    "key_figures",
    "lesson_settings",
    "measured",
    "parse_parameters",
    "report",
]
