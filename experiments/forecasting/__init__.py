"""The comparison of forecasters: walk-forward, tables, page, and what a forecast is worth."""
