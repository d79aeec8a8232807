"""One agent on one market: the decisions, the equities and the trades that come of it."""
