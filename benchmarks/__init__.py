"""Speed, measured: see docs/benchmarks.md. Never run as a timed test."""
