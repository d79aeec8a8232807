"""The parts of the monitor: requests to the venues, rows, alerts and the page."""
