"""Exchange rules as data: one TOML per venue, read and validated by `load_venue`."""

from fundenv.venues.load import Bracket, UnsourcedValue, Venue, load_venue, venue_names
from fundenv.venues.schema import VenueError

__all__ = ["Bracket", "UnsourcedValue", "Venue", "VenueError", "load_venue", "venue_names"]
