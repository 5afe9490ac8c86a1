"""Faces: datasets by name, sets in memory, batches for training and evaluation."""

from .datasets import DATASETS, DatasetSpec
from .domains import Domain, load_domain
from .faces import Face, FaceDataset, FaceSet
from .labels import EXPRESSIONS, NUM_CLASSES
from .loaders import EvalLoader, PairLoader

__all__ = [
    "DATASETS",
    "EXPRESSIONS",
    "NUM_CLASSES",
    "DatasetSpec",
    "Domain",
    "EvalLoader",
    "Face",
    "FaceDataset",
    "FaceSet",
    "PairLoader",
    "load_domain",
]
