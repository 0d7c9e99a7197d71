"""The course as a report: notebooks run headless, one page each, and an index over all of them."""

from randprune_lab.report.build import PROFILES, parse_parameters, report
from randprune_lab.report.key_figures import key_figures, measured
from randprune_lab.report.results import CellFailure, NotebookResult, ReportSummary

__all__ = [
    "PROFILES",
    "CellFailure",
    "NotebookResult",
    "ReportSummary",
    "key_figures",
    "measured",
    "parse_parameters",
    "report",
]
