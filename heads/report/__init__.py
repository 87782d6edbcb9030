"""The report: one HTML file that says what can be decided by a run, where it is wrong and whether to trust it."""

from heads.report.comparison import Comparison, Turned, compare_runs, comparison_json, sentences_on
from heads.report.render import render_comparison, render_report, write_report

__all__ = [
    "Comparison",
    "Turned",
    "compare_runs",
    "comparison_json",
    "render_comparison",
    "render_report",
    "sentences_on",
    "write_report",
]
