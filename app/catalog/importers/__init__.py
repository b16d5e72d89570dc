"""Foreign market data to catalog files."""

from app.catalog.importers.csv_files import import_csv
from app.catalog.importers.lean import import_lean
from app.catalog.importers.parquet_files import import_parquet
from app.catalog.importers.report import Counts, Example, ImportReport

__all__ = ["Counts", "Example", "ImportReport", "import_csv", "import_lean", "import_parquet"]
