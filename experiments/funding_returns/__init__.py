"""The study of funding and later returns: daily table, regressions, forests, charts, page."""
