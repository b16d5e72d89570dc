"""``tapedeck doctor``: what is wrong with a catalog, where, and how to mend it."""

from app.catalog.doctor.diagnose import diagnose
from app.catalog.doctor.findings import COLUMNS, Diagnosis, Finding, Place, Severity

__all__ = ["COLUMNS", "Diagnosis", "Finding", "Place", "Severity", "diagnose"]
