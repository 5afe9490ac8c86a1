"""From records to tables; nothing here knows a model."""

from .table import Row, aligned, csv_text, rows_from_records, to_csv, to_markdown, to_terminal

__all__ = ["Row", "aligned", "csv_text", "rows_from_records", "to_csv", "to_markdown", "to_terminal"]
