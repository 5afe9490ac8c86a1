"""Public weights that fit a backbone: where they come from, their licence, and how to recognise the files.

Nothing is downloaded, as users must accept the licences themselves. This module doesn't import torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..util.errors import UserError


@dataclass(frozen=True)
class PublishedFile:
    """One file of published weights."""

    name: str  #: its published name
    sha256: str = ""  #: the hash or its first digits; empty: unknown
    size: int | None = None  #: in bytes; None: unknown


@dataclass(frozen=True)
class PublishedWeights:
    """Weights of one network."""

    backbone: str
    files: tuple[PublishedFile, ...]  #: the first is the one for --pretrained; all must be in one folder
    origin: str
    terms: str
    trained_on: str
    classifier: str = ""  #: the classes of the classifier it includes

    @property
    def size(self) -> int | None:
        """The size of all files in bytes; None: unknown."""
        sizes = [file.size for file in self.files if file.size is not None]
        return sum(sizes) if len(sizes) == len(self.files) else None


_TORCHVISION = "https://download.pytorch.org/models/"
_FACENET = "https://github.com/timesler/facenet-pytorch/releases/download/v2.2.9/"
_IMAGENET = {"terms": "BSD-3-Clause", "trained_on": "ImageNet-1k: objects, not faces"}
_MS1M = "MS-Celeb-1M, withdrawn by its publisher: identity, not expression"

#: Full hashes were computed from the files; torchvision's file names contain the first eight digits.
PUBLISHED: dict[str, PublishedWeights] = {
    "face_api": PublishedWeights(
        "expression",
        (
            PublishedFile(
                "face_expression_model-weights_manifest.json",
                "5b349c17c7836da506e03422cd6461c74085d8bb2713ad4114647dc5d28174c8",
                6_980,
            ),
            PublishedFile(
                "face_expression_model.bin",
                "9a9840f2cf1f4c7eab95f197512569345c00d2426754d4608b92af30e0300f3d",
                329_468,
            ),
        ),
        "npm pack @vladmandic/face-api@1.7.15, in package/model/",
        "MIT",
        "expressions; its training faces are not published and may include FER2013",
        "neutral, happy, sad, anger, fear, disgust, surprise",
    ),
    "mobilefacenet_ms1m": PublishedWeights(
        "mobilefacenet",
        (
            PublishedFile(
                "mobilefacenet.pt", "90a00ba1d8b0b688af3deb731ed53dca582e6106805d1bc3cfdef55f570493f4", 4_135_271
            ),
        ),
        "https://github.com/foamliu/MobileFaceNet, its releases",
        "Apache-2.0",
        _MS1M,
    ),
    "ir50_ms1m": PublishedWeights(
        "ir50",
        (PublishedFile("backbone_ir50_ms1m_epoch120.pth"),),
        "https://github.com/ZhaoJ9014/face.evoLVe, its model zoo",
        "MIT (the code; none is stated for the weights)",
        _MS1M,
    ),
    "vggface2": PublishedWeights(
        "inception_resnet_v1",
        (PublishedFile("20180402-114759-vggface2.pt"),),
        f"{_FACENET}20180402-114759-vggface2.pt",
        "MIT (the code; the faces were for research)",
        "VGGFace2: identity, not expression",
    ),
    "casia_webface": PublishedWeights(
        "inception_resnet_v1",
        (PublishedFile("20180408-102900-casia-webface.pt"),),
        f"{_FACENET}20180408-102900-casia-webface.pt",
        "MIT (the code; the faces were for research)",
        "CASIA-WebFace: identity, not expression",
    ),
    "resnet18_imagenet": PublishedWeights(
        "resnet18",
        (PublishedFile("resnet18-f37072fd.pth", "f37072fd"),),
        f"{_TORCHVISION}resnet18-f37072fd.pth",
        **_IMAGENET,
    ),
    "resnet50_imagenet": PublishedWeights(
        "resnet50",
        (PublishedFile("resnet50-11ad3fa6.pth", "11ad3fa6"),),
        f"{_TORCHVISION}resnet50-11ad3fa6.pth",
        **_IMAGENET,
    ),
    "mobilenet_v2_imagenet": PublishedWeights(
        "mobilenet_v2",
        (PublishedFile("mobilenet_v2-7ebf99e0.pth", "7ebf99e0"),),
        f"{_TORCHVISION}mobilenet_v2-7ebf99e0.pth",
        **_IMAGENET,
    ),
}


def recognised(files: Mapping[str, str]) -> str | None:
    """The published weights that files are; None if they are none of them.

    Args:
        files: SHA-256 by file name. Weights whose published hash is unknown are recognised by name.
    """
    for name, weights in PUBLISHED.items():
        same = (
            any(sha256.startswith(file.sha256) for sha256 in files.values()) if file.sha256 else file.name in files
            for file in weights.files
        )
        if all(same):
            return name
    return None


def find_published(weights: PublishedWeights, folder: Path) -> tuple[Path | None, str]:
    """Searches a folder for published weights and checks them.

    The first file is found by name or, if renamed, by size and hash; others must be next to it.

    Returns:
        The first file, or None if it isn't there; and a line about what is missing or differs from the published file,
        empty if there is no problem.

    Raises:
        UserError: the folder doesn't exist, or a file can't be read.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder")
    first = weights.files[0]
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    found = next((p for p in files if p.name == first.name or _is_renamed(p, first)), None)
    if found is None:
        return None, ""
    for file in weights.files:
        path = found if file is first else found.parent / file.name
        if not path.is_file():
            return found, f"{file.name} is missing next to it"
        if not _is(path, file):
            return found, f"{path} is not the published file: its sha256 does not begin with {file.sha256[:8]}"
    return found, ""


def _is_renamed(path: Path, file: PublishedFile) -> bool:
    return bool(file.sha256) and path.stat().st_size == file.size and _is(path, file)


def _is(path: Path, file: PublishedFile) -> bool:
    from ..util.files import file_sha256  # imported here as it needs NumPy, which --help should not load

    return file_sha256(path).startswith(file.sha256)
