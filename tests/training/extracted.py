"""Features of a small pair of domains, for tests of how they are made."""

from made import random_faces

from pa_difc.data.domains import Domain
from pa_difc.training.frozen import extract
from pa_difc.training.resolve import resolve
from pa_difc.training.settings import Settings
from pa_difc.training.team import ALONE

PAIR = (
    Domain("s", random_faces(28, 0), random_faces(14, 1)),
    Domain("t", random_faces(35, 2), random_faces(7, 3)),
)
SETTINGS = resolve(Settings.of(crop_px=32, epochs=1, batch_size=8, views="flip"))


def all_of(out, team=ALONE):
    """Features of all splits and views."""
    domains = extract(SETTINGS, *PAIR, out, team)
    parts = [part for domain in domains for part in (domain.train, domain.test, *domain.test.views)]
    return [part.features for part in parts]
