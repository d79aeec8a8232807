"""Exchange rules as data: one TOML per venue, read and validated by `load_venue`."""

from fundenv.venues.load import Bracket, UnsourcedValue, Venue, load_venue, venue_names
from fundenv.venues.places import Legs, Place, Rulebook, is_placed, legs_of
from fundenv.venues.schema import VenueError

__all__ = [
    "Bracket",
    "Legs",
    "Place",
    "Rulebook",
    "UnsourcedValue",
    "Venue",
    "VenueError",
    "is_placed",
    "legs_of",
    "load_venue",
    "venue_names",
]
