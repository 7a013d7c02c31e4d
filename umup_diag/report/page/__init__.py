"""One HTML file that needs no network: the answer, charts, a table, and the result itself."""

from umup_diag.report.page.page import Cell, Page, Row, Table, page, render

__all__ = ["Cell", "Page", "Row", "Table", "page", "render"]
