"""Datasets by name. Listing names imports nothing: readers are imported when a dataset is looked up."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..util.errors import UserError
from ..util.names import near_clause, shown, unknown
from ..util.registry import Registry
from .dataset_spec import DatasetSpec

if TYPE_CHECKING:
    from .readers.listing import Reader


DATASETS: Registry[DatasetSpec] = Registry(
    "dataset",
    {
        "toy_studio": "pa_difc.data.specs:TOY_STUDIO",
        "toy_street": "pa_difc.data.specs:TOY_STREET",
        "raf_db": "pa_difc.data.specs:RAF_DB",
        "raf_db_original": "pa_difc.data.specs:RAF_DB_ORIGINAL",
        "fer2013": "pa_difc.data.specs:FER2013",
        "expw": "pa_difc.data.specs:EXPW",
        "jaffe": "pa_difc.data.specs:JAFFE",
        "sfew": "pa_difc.data.specs:SFEW",
        "ck_plus": "pa_difc.data.specs:CK_PLUS",
        "ck48": "pa_difc.data.specs:CK48",
        "kdef": "pa_difc.data.specs:KDEF",
        "afe": "pa_difc.data.specs:AFE",
        "muxspace": "pa_difc.data.specs:MUXSPACE",
        "ferplus": "pa_difc.data.specs:FERPLUS",
        "affectnet": "pa_difc.data.specs:AFFECTNET",
        "oulu_casia": "pa_difc.data.specs:OULU_CASIA",
    },
    "pa_difc.datasets",
)

#: Prefixes of the user's own data, as in "folder:PATH", PATH below --data-root or absolute; "images" is unlabelled.
OWN_DATA = ("folder", "legend", "images", "parquet")

#: The prefix of a face store's path.
STORE = "store"

#: Prefixes suggested for a plain folder's name.
_OF_A_FOLDER = ("folder", "images")


def dataset_names() -> list[str]:
    """All accepted dataset names and prefixes, for help texts and errors."""
    return [*DATASETS, *(f"{kind}:PATH" for kind in (*OWN_DATA, STORE))]


def require_known(name: str, data_root: Path) -> None:
    """Refuses a name that names no dataset, wherever its folder may be.

    Raises:
        UserError: there is no such dataset.
    """
    kind, colon, _ = name.partition(":")
    if name in DATASETS or (colon and kind in (*OWN_DATA, STORE)):
        return
    if Path(name).is_dir() or (data_root / name).is_dir():
        raise UserError(f"dataset {shown(name)} is a folder: {' or '.join(f'{kind}:{name}' for kind in _OF_A_FOLDER)}?")
    raise unknown("dataset", name, dataset_names())


def find_dataset(name: str, data_root: Path) -> tuple[Reader | None, Path]:
    """The reader of a dataset (None for synthetic faces and for stores) and the folder that holds it.

    Raises:
        UserError: there is no such dataset, or no such folder.
    """
    require_known(name, data_root)
    if name not in DATASETS:
        kind, _, path = name.partition(":")
        return _own_data(name, kind, data_root / path)
    spec = DATASETS[name]
    root = data_root / name
    if not root.is_dir():
        root = data_root / (spec.folder or name)
    if spec.reader is not None and not root.is_dir():
        raise UserError(
            f"dataset {name}: no folder {root} (looked for {spec.layout}); "
            f"`pa-difc datasets {name}` says where it comes from. "
            "No data at hand? --source toy_studio --target toy_street needs none."
        )
    return spec.reader, root


def _own_data(name: str, kind: str, root: Path) -> tuple[Reader | None, Path]:
    if not (root.is_dir() or (kind == "parquet" and root.is_file())):
        raise UserError(f"dataset {name}: no folder {root}{near_clause(root)}")
    if kind == STORE:
        return None, root
    from .specs import OWN_READERS

    return OWN_READERS[kind], root
