"""Making a face store: read, detect and cut out once, so that training never does."""

from .run import prepare_store
from .settings import FACES, ON_MISSING, Settings

__all__ = ["FACES", "ON_MISSING", "Settings", "prepare_store"]
