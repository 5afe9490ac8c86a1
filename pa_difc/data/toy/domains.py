"""The two toy domains: their scenes, and the number of faces of each class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Range = tuple[float, float]


@dataclass(frozen=True)
class ToyDomain:
    """A domain's scene and size; ranges are (lowest, highest) of a uniform distribution, rates are per face."""

    class_proportions: tuple[int, ...]  #: relative class frequencies of both splits, in class order
    train_count: int  #: faces in the train split
    test_count: int  #: faces in the test split
    intensity: Range  #: strength of the expression; 1 is the textbook's, 0 neutral
    blend: Range = (0.0, 0.25)  #: strength of a second, random expression mixed in
    yaw_deg: float = 0.0  #: largest turn to either side
    pitch_deg: float = 0.0  #: largest nod up or down
    roll_deg: float = 0.0  #: largest tilt to either shoulder
    scale: Range = (1.0, 1.0)  #: size of the head; at 1 its height just fits the image
    shift: float = 0.0  #: largest displacement along x and y, in half image sides
    skin_tone: Range = (0.0, 1.0)  #: 0 palest, 1 darkest
    light: Range = (0.0, 0.0)  #: brightness change from the centre to the edge, along a random direction
    shadow: Range = (0.0, 0.0)  #: darkness of a cast shadow's side; 1 is black
    exposure: Range = (1.0, 1.0)  #: brightness gain
    contrast: Range = (1.0, 1.0)  #: contrast gain around mid-gray
    cast: float = 0.0  #: largest gain or loss of a colour channel
    gray_rate: float = 0.0  #: share of gray images
    blur: Range = (0.0, 0.0)  #: standard deviation of a Gaussian blur, in thousandths of the image side
    coarse_rate: float = 0.0  #: share of images at about 3/4 to 1/2 of a resolution of 48 px
    occlusion_rate: float = 0.0  #: share of faces behind sunglasses, a hand, an object, a scarf or a cap
    spectacles_rate: float = 0.1  #: share of faces with spectacles
    clutter: float = 0.0  #: contrast of the shapes in the background; 1 is full
    noise: Range = (0.0, 0.0)  #: standard deviation of sensor noise; 1 is full scale


TOY_DOMAINS: dict[str, ToyDomain] = {
    "toy_studio": ToyDomain(
        class_proportions=(1290, 281, 717, 4772, 1982, 705, 2524),  # RAF-DB's training set
        train_count=4000,
        test_count=1000,
        intensity=(0.3, 1.1),
        yaw_deg=5.0,
        pitch_deg=4.0,
        roll_deg=3.0,
        scale=(1.05, 1.15),
        shift=0.03,
        skin_tone=(0.0, 0.8),
        light=(0.0, 0.12),
        exposure=(0.95, 1.08),
        noise=(0.0, 0.015),
    ),
    "toy_street": ToyDomain(
        class_proportions=(9, 5, 4, 16, 24, 10, 32),
        train_count=3000,
        test_count=1500,
        intensity=(0.3, 1.1),
        yaw_deg=13.0,
        pitch_deg=7.0,
        roll_deg=8.0,
        scale=(1.0, 1.18),
        shift=0.05,
        light=(0.0, 0.25),
        shadow=(0.0, 0.3),
        exposure=(0.75, 1.15),
        contrast=(0.75, 1.05),
        cast=0.1,
        gray_rate=0.2,
        blur=(0.0, 8.0),
        coarse_rate=0.1,
        occlusion_rate=0.25,
        spectacles_rate=0.2,
        clutter=0.4,
        noise=(0.0, 0.025),
    ),
}


def class_counts(domain: ToyDomain, split: str) -> np.ndarray:
    """Faces per class ``(K,)``: the proportions, rounded by largest remainder so that they add up."""
    total = domain.train_count if split == "train" else domain.test_count
    exact = np.array(domain.class_proportions) * total / sum(domain.class_proportions)
    counts = np.floor(exact).astype(np.int64)
    counts[np.argsort(counts - exact, kind="stable")[: total - counts.sum()]] += 1
    return counts
