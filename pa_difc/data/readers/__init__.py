"""Readers of face datasets: they list each image's place, label and split.

Readers open no image (CSV pixels aside); :mod:`..decode` does. Each takes the folder of one dataset in the layouts in
which it is distributed, keeps every label as the dataset's own word, and raises a one-line :class:`UserError` for
malformed data.
"""

from typing import TYPE_CHECKING

import lazy_loader  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from .affectnet import read_affectnet as read_affectnet
    from .ck_plus import read_ck48 as read_ck48
    from .ck_plus import read_ck_plus as read_ck_plus
    from .expw import read_expw as read_expw
    from .fer2013 import read_fer2013 as read_fer2013
    from .fer_plus import read_fer_plus as read_fer_plus
    from .folders import read_class_folders as read_class_folders
    from .folders import read_sfew as read_sfew
    from .images import read_images as read_images
    from .jaffe import read_jaffe as read_jaffe
    from .kdef import read_kdef as read_kdef
    from .legend import read_legend_csv as read_legend_csv
    from .legend import read_muxspace as read_muxspace
    from .listing import BOTH as BOTH
    from .listing import Listing as Listing
    from .listing import NotHere as NotHere
    from .listing import Reader as Reader
    from .listing import Sample as Sample
    from .listing import counts_by_split as counts_by_split
    from .listing import held_out as held_out
    from .listing import held_out_groups as held_out_groups
    from .oulu_casia import read_oulu_casia as read_oulu_casia
    from .parquet import read_parquet as read_parquet
    from .raf_db import read_raf_db as read_raf_db
    from .raf_db import read_raf_db_original as read_raf_db_original

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "affectnet": ["read_affectnet"],
        "ck_plus": ["read_ck48", "read_ck_plus"],
        "expw": ["read_expw"],
        "fer2013": ["read_fer2013"],
        "fer_plus": ["read_fer_plus"],
        "folders": ["read_class_folders", "read_sfew"],
        "images": ["read_images"],
        "jaffe": ["read_jaffe"],
        "kdef": ["read_kdef"],
        "legend": ["read_legend_csv", "read_muxspace"],
        "listing": ["BOTH", "Listing", "NotHere", "Reader", "Sample", "counts_by_split", "held_out", "held_out_groups"],
        "oulu_casia": ["read_oulu_casia"],
        "parquet": ["read_parquet"],
        "raf_db": ["read_raf_db", "read_raf_db_original"],
    },
)
