"""The report: one HTML file that says what can be decided by a run, where it is wrong and whether to trust it."""

from heads.report.comparison import Comparison, compare_runs, sentences_on
from heads.report.render import render_comparison, render_report, write_report

__all__ = ["Comparison", "compare_runs", "render_comparison", "render_report", "sentences_on", "write_report"]
