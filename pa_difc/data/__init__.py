"""Face data: datasets by name, label sets, face sets in memory, and batches for training and evaluation."""

from typing import TYPE_CHECKING

import lazy_loader  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from .dataset_spec import DatasetSpec as DatasetSpec
    from .datasets import DATASETS as DATASETS
    from .domains import Domain as Domain
    from .faces import Face as Face
    from .faces import FaceDataset as FaceDataset
    from .faces import FaceSet as FaceSet
    from .labels import EXPRESSIONS as EXPRESSIONS
    from .labels import EXPRESSIONS8 as EXPRESSIONS8
    from .labels import LABEL_SETS as LABEL_SETS
    from .labels import UNLABELLED as UNLABELLED
    from .labels import VALENCE as VALENCE
    from .labels import LabelSet as LabelSet
    from .labels import find_label_set as find_label_set
    from .loaders import EvalLoader as EvalLoader
    from .loaders import PairLoader as PairLoader
    from .loading import load_domain as load_domain
    from .sampling import SAMPLERS as SAMPLERS
    from .sampling import Sampler as Sampler

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "dataset_spec": ["DatasetSpec"],
        "datasets": ["DATASETS"],
        "domains": ["Domain"],
        "faces": ["Face", "FaceDataset", "FaceSet"],
        "labels": ["EXPRESSIONS", "EXPRESSIONS8", "LABEL_SETS", "UNLABELLED", "VALENCE", "LabelSet", "find_label_set"],
        "loaders": ["EvalLoader", "PairLoader"],
        "loading": ["load_domain"],
        "sampling": ["SAMPLERS", "Sampler"],
    },
)
