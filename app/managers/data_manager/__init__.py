"""Data in motion under the clock: intake, merge, session data, derived bars, end of day."""
