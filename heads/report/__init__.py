"""The report: one HTML file that says what can be decided by a run, where it is wrong and whether to trust it."""

from heads.report.render import render_report, write_report

__all__ = ["render_report", "write_report"]
