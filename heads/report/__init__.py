"""The report: one HTML file that says what each model adds, where it is wrong and whether to trust the numbers."""

from heads.report.render import render_report

__all__ = ["render_report"]
