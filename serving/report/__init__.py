"""The report on the published marts: one self-contained HTML page, and a summary for the terminal.

Every number is the answer of a query to ClickHouse that stands beside it; what ClickHouse does not hold (results of the
checks, the public benchmark) is handed in as plain data. Nothing here reads the lake.
"""

from serving.report.page import render_report
from serving.report.questions import ReportData, gather
from serving.report.source import Extras, Query, published
from serving.report.summary import summary_lines

__all__ = ["Extras", "Query", "ReportData", "gather", "published", "render_report", "summary_lines"]
