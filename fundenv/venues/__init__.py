"""Exchange rules as data: one TOML per venue, read and validated by `load_venue`."""

from fundenv.venues.load import Bracket, Venue, VenueError, load_venue

__all__ = ["Bracket", "Venue", "VenueError", "load_venue"]
