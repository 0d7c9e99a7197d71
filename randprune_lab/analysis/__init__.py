"""From recorded runs to tables with intervals. Nothing here trains."""
