"""Reading the lists of face datasets: where each image is, what it shows, which split it belongs to.

Readers open no image (CSV pixels aside): decoding is :mod:`..decode`'s. Each takes the folder of one dataset in the
layouts in which it is given out, and raises a one-line :class:`UserError` for whatever is not as it should be.
"""

from .ck_plus import read_ck48, read_ck_plus
from .expw import read_expw
from .fer2013 import read_fer2013
from .folders import read_class_folders, read_sfew
from .images import read_images
from .jaffe import read_jaffe
from .kdef import read_kdef
from .legend import read_legend_csv, read_muxspace
from .listing import BOTH, Listing, Reader, Sample, counts_by_split, held_out
from .raf_db import read_raf_db, read_raf_db_original

__all__ = [
    "BOTH",
    "Listing",
    "Reader",
    "Sample",
    "counts_by_split",
    "held_out",
    "read_ck48",
    "read_ck_plus",
    "read_class_folders",
    "read_expw",
    "read_fer2013",
    "read_images",
    "read_jaffe",
    "read_kdef",
    "read_legend_csv",
    "read_muxspace",
    "read_raf_db",
    "read_raf_db_original",
    "read_sfew",
]
