"""The measures of the indicators: functions from the observations of a run to a value or to samples."""
