"""Drawn faces that move with seven expressions: two domains that need no download.

A face is drawn from the facial action units of its expression (Ekman & Friesen, 1978) over a random identity, in a
scene that the domain describes. All geometry is in face units: the head is about 1.4 wide and 1.8 high around
(0, 0), x to the right, y down, and an upright face at scale 1 fills the image, which spans -1..1. A face is a
function of the seed, its index and its label alone, and the same at every size.
"""

from __future__ import annotations

import os
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np

Range = tuple[float, float]


@dataclass(frozen=True)
class ToyDomain:
    """What sets a domain apart; ranges are (lowest, highest) of a uniform distribution, rates are per face."""

    class_proportions: tuple[int, ...]  #: relative class frequencies of both splits, in class order
    train_count: int  #: faces in the train split
    test_count: int  #: faces in the test split
    intensity: Range  #: strength of the expression; 1 is the textbook's, 0 neutral
    blend: Range = (0.0, 0.25)  #: strength of a second, random expression mixed in
    yaw_deg: float = 0.0  #: largest turn to either side
    pitch_deg: float = 0.0  #: largest nod up or down
    roll_deg: float = 0.0  #: largest tilt to either shoulder
    scale: Range = (1.0, 1.0)  #: size of the head; 1 fills the image
    shift: float = 0.0  #: largest displacement along x and y, in half image sides
    skin_tone: Range = (0.0, 1.0)  #: 0 palest, 1 darkest
    light: Range = (0.0, 0.0)  #: brightness change from the centre to the edge, along a random direction
    shadow: Range = (0.0, 0.0)  #: darkness of a cast shadow's side; 1 is black
    exposure: Range = (1.0, 1.0)  #: brightness gain
    contrast: Range = (1.0, 1.0)  #: contrast gain around mid-gray
    cast: float = 0.0  #: largest gain or loss of a colour channel
    gray_rate: float = 0.0  #: share of gray images
    blur: Range = (0.0, 0.0)  #: standard deviation of a Gaussian blur, in thousandths of the image side
    coarse_rate: float = 0.0  #: share of images seen at 2/3 to 1/3 of their resolution
    occlusion_rate: float = 0.0  #: share of faces behind sunglasses, a hand, an object, a scarf or a cap
    glasses_rate: float = 0.1  #: share of faces with spectacles
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
        scale=(0.95, 1.03),
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
        yaw_deg=28.0,
        pitch_deg=14.0,
        roll_deg=16.0,
        scale=(0.82, 1.12),
        shift=0.1,
        light=(0.1, 0.5),
        shadow=(0.0, 0.5),
        exposure=(0.55, 1.2),
        contrast=(0.6, 1.1),
        cast=0.18,
        gray_rate=0.25,
        blur=(0.0, 22.0),
        coarse_rate=0.3,
        occlusion_rate=0.3,
        glasses_rate=0.2,
        clutter=0.6,
        noise=(0.01, 0.06),
    ),
}

#: Faces that share a random stream; part of the definition of a set, not only of its speed.
_CHUNK = 16

#: Samples per pixel and axis.
_SUPERSAMPLING = 2

#: How far each action unit moves, as columns of :data:`_EXPRESSIONS`.
_UNITS = (
    "inner_up",  # AU1, inner brow raiser
    "outer_up",  # AU2, outer brow raiser
    "brow_down",  # AU4, brow lowerer: lowers the brows and draws them together
    "lids",  # AU5 upper lid raiser where positive, AU7 lid tightener where negative
    "cheeks",  # AU6, cheek raiser
    "wrinkle",  # AU9, nose wrinkler
    "upper_lip",  # AU10, upper lip raiser
    "corners",  # AU12 lip corner puller where positive, AU15 lip corner depressor where negative
    "stretch",  # AU20 lip stretcher where positive, AU18 lip pucker where negative
    "jaw",  # AU26, jaw drop
    "press",  # AU24, lip pressor
    "teeth",  # AU25, lips part: how much of the teeth shows in an open mouth
)

#: Two textbook versions of each class (K, 2, units); a face is somewhere between them.
_EXPRESSIONS = np.array(
    [
        [  # surprise: brows high, eyes wide, mouth open and round
            [1.0, 1.0, 0.0, 0.9, 0.0, 0.0, 0.0, 0.0, -0.8, 1.0, 0.0, 0.0],
            [0.9, 1.0, 0.0, 0.7, 0.0, 0.0, 0.0, 0.0, -0.5, 0.6, 0.0, 0.1],
        ],
        [  # fear: brows high, drawn together, straight; eyes wide; mouth stretched
            [1.0, 0.3, 0.6, 0.9, 0.0, 0.0, 0.1, -0.5, 0.7, 0.35, 0.0, 0.9],
            [0.9, 0.4, 0.4, 0.7, 0.0, 0.0, 0.0, -0.3, 0.4, 0.55, 0.0, 0.4],
        ],
        [  # disgust: nose wrinkled, upper lip up, lower lids up
            [-0.1, -0.1, 0.6, -0.5, 0.5, 1.0, 1.0, -0.4, -0.1, 0.15, 0.0, 0.8],
            [0.0, 0.0, 0.5, -0.6, 0.4, 1.0, 0.7, -0.5, -0.2, 0.0, 0.1, 0.2],
        ],
        [  # happy: corners up, cheeks up; laughing or smiling with closed lips
            [0.0, 0.1, 0.0, -0.35, 1.0, 0.0, 0.1, 1.0, 0.7, 0.45, 0.0, 1.0],
            [0.0, 0.0, 0.0, -0.25, 0.8, 0.0, 0.0, 1.0, 0.4, 0.0, 0.1, 0.3],
        ],
        [  # sad: inner brows up, upper lids heavy, corners down
            [1.0, -0.4, 0.3, -0.3, 0.0, 0.0, 0.0, -1.0, -0.1, 0.0, 0.1, 0.0],
            [0.7, -0.3, 0.4, -0.5, 0.1, 0.0, 0.0, -0.8, 0.1, 0.1, 0.0, 0.2],
        ],
        [  # anger: brows down and together; lips pressed, or teeth bared
            [-0.2, 0.2, 1.0, -0.3, 0.0, 0.1, 0.0, -0.3, -0.3, 0.0, 1.0, 0.0],
            [-0.2, 0.3, 1.1, -0.1, 0.1, 0.3, 0.4, -0.4, 0.2, 0.35, 0.3, 1.0],
        ],
        [[0.0] * len(_UNITS), [0.0] * len(_UNITS)],
    ],
    dtype=np.float32,
)

#: Random spread of every action unit.
_UNIT_SPREAD = 0.08

#: Identity in face units where nothing else is said; uniform between the two values.
_IDENTITY: dict[str, Range] = {
    "head_width": (0.62, 0.74),  # half
    "head_height": (0.84, 0.92),  # half
    "jaw_taper": (0.2, 0.42),  # share of the width that is lost at the chin
    "eye_x": (0.27, 0.33),
    "eye_y": (-0.14, -0.06),
    "eye_width": (0.135, 0.175),  # half
    "eye_open": (0.06, 0.085),  # half
    "eye_slant": (-0.02, 0.03),
    "gaze": (-0.03, 0.03),
    "brow_gap": (0.17, 0.22),  # above the eye
    "brow_thickness": (0.018, 0.042),  # half
    "brow_arch": (0.015, 0.05),
    "nose_y": (0.17, 0.25),
    "nose_width": (0.085, 0.125),  # half
    "mouth_gap": (0.28, 0.34),  # below the nose tip
    "mouth_width": (0.2, 0.27),  # half
    "lips": (0.028, 0.055),  # half of both lips' thickness
    "crease": (0.4, 1.0),  # depth of wrinkles, 0..1
    "skin_hue": (-0.03, 0.03),
    "hair_line": (-0.66, -0.5),
    "hair_volume": (0.03, 0.16),
    "hair_length": (-0.5, 1.6),  # where hair beside the face ends, y
    "hair_part": (-0.25, 0.25),  # slope of the fringe
    "baldness": (0.0, 1.0),  # bald above 0.92
    "beardedness": (0.0, 1.0),  # bearded above 0.78
    "glasses": (0.0, 1.0),  # spectacles below the domain's rate
}

#: Random numbers of a scene, 0..1 each.
_SCENE = (
    *("version", "other", "intensity", "blend", "yaw", "pitch", "roll", "scale", "shift_x", "shift_y", "skin_tone"),
    *("hair_colour", "eye_colour", "light", "light_angle", "shadow", "shadow_angle", "shadow_offset", "exposure"),
    *("contrast", "gray", "blur", "coarse", "occlusion", "occluder", "occluder_x", "occluder_y", "occluder_angle"),
    *("occluder_size", "noise"),
)

#: Colours that are drawn at random, (3,) each.
_COLOURS = ("backdrop", "clutter_a", "clutter_b", "shirt", "occluder_colour", "cast")

_SKIN = np.array([[0.98, 0.84, 0.74], [0.87, 0.66, 0.51], [0.62, 0.42, 0.30], [0.42, 0.28, 0.20]], np.float32)
_HAIR = np.array(
    [[0.10, 0.08, 0.08], [0.22, 0.14, 0.09], [0.38, 0.23, 0.12], [0.72, 0.54, 0.28], [0.52, 0.20, 0.09], [0.6] * 3],
    np.float32,
)
_IRIS = np.array([[0.20, 0.12, 0.07], [0.30, 0.19, 0.10], [0.20, 0.33, 0.45], [0.22, 0.33, 0.20]], np.float32)

#: Radii of the ellipsoid on which the features lie; wider than the head, so that no feature reaches its rim.
_RADIUS_X, _RADIUS_Y = 0.86, 1.06

#: How far the nose tip stands out from the ellipsoid.
_NOSE_DEPTH = 0.16

_BLACK, _WHITE = np.float32(0.05), np.float32(0.95)


def draw_faces(
    labels: np.ndarray, domain: ToyDomain, seed: int, size_px: int = 48
) -> tuple[np.ndarray, np.ndarray]:
    """Draws one face per label.

    Args:
        labels: ``(N,)`` integers, classes 0..6.
        domain: the scene; its counts and proportions play no part here.
        seed: of the random streams, not negative. The first faces stay the same when labels are appended.
        size_px: the side of the images.

    Returns:
        Images ``(N, 3, size_px, size_px)`` uint8 RGB, and landmarks ``(N, 5, 2)`` float32: (x, y) in pixels of left
        eye, right eye, nose tip, left and right mouth corner as seen in the image. A pixel's centre has integer
        coordinates. Landmarks are where the points truly are, also behind an occluder.

    Raises:
        ValueError: a label is not a class, or ``size_px`` is not positive.
    """
    labels = np.asarray(labels)
    wrong = [k for k in np.unique(labels).tolist() if k not in range(len(_EXPRESSIONS))]
    if wrong:
        raise ValueError(f"labels contain {wrong[0]!r}: must be 0..{len(_EXPRESSIONS) - 1}")
    if size_px < 1:
        raise ValueError(f"{size_px=}: must be at least 1")
    images = np.empty((len(labels), 3, size_px, size_px), dtype=np.uint8)
    landmarks = np.empty((len(labels), 5, 2), dtype=np.float32)

    def draw(start: int) -> None:
        chunk = slice(start, start + _CHUNK)
        rng = np.random.default_rng((seed, start // _CHUNK))
        face = _random_faces(labels[chunk].astype(np.int64), domain, rng)
        images[chunk] = _photograph(_draw(face, size_px), face, rng)
        landmarks[chunk] = (_landmarks(face) + 1) * (size_px / 2) - 0.5

    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        list(pool.map(draw, range(0, len(labels), _CHUNK)))
    return images, landmarks


def toy_dataset(name: str, split: str, size_px: int = 48) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A split of a toy domain, the same at every call.

    Args:
        name: a key of :data:`TOY_DOMAINS`.
        split: "train" or "test"; they share no random stream.
        size_px: the side of the images.

    Returns:
        Images and landmarks as :func:`draw_faces` gives them, and labels ``(N,)`` int64 in random order.

    Raises:
        ValueError: there is no such domain or split.
    """
    if name not in TOY_DOMAINS:
        raise ValueError(f"unknown toy domain {name!r}: must be one of {', '.join(TOY_DOMAINS)}")
    if split not in ("train", "test"):
        raise ValueError(f"unknown split {split!r}: must be one of train, test")
    domain = TOY_DOMAINS[name]
    seed = zlib.crc32(f"{name}/{split}".encode())
    counts = _class_counts(domain, split)
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts)).astype(np.int64)
    return *draw_faces(labels, domain, seed, size_px), labels


def _class_counts(domain: ToyDomain, split: str) -> np.ndarray:
    """Faces per class ``(K,)``: the proportions by largest remainder, so that they add up."""
    total = domain.train_count if split == "train" else domain.test_count
    exact = np.array(domain.class_proportions) * total / sum(domain.class_proportions)
    counts = np.floor(exact).astype(np.int64)
    counts[np.argsort(counts - exact, kind="stable")[: total - counts.sum()]] += 1
    return counts


# Random faces


def _random_faces(labels: np.ndarray, domain: ToyDomain, rng: np.random.Generator) -> SimpleNamespace:
    """Everything that is random about faces but their noise: ``(N, 1, 1)`` arrays, colours ``(3, N, 1, 1)``.

    A full chunk is drawn whatever N is, so that a face does not depend on how many follow it.
    """
    n = len(labels)
    identity = dict(zip(_IDENTITY, rng.random((len(_IDENTITY), _CHUNK), np.float32)[:, :n], strict=True))
    scene = dict(zip(_SCENE, rng.random((len(_SCENE), _CHUNK), np.float32)[:, :n], strict=True))
    colours = dict(zip(_COLOURS, rng.random((len(_COLOURS), 3, _CHUNK), np.float32)[..., :n], strict=True))
    spread = rng.standard_normal((_CHUNK, len(_UNITS)), np.float32)[:n] * _UNIT_SPREAD
    other = (scene.pop("other") * len(_EXPRESSIONS)).astype(np.int64)

    values = {name: low + (high - low) * identity[name] for name, (low, high) in _IDENTITY.items()}
    for name, value in scene.items():
        limits = getattr(domain, name, None)
        values[name] = value if not isinstance(limits, tuple) else limits[0] + (limits[1] - limits[0]) * value
    for angle in ("yaw", "pitch", "roll"):
        values[angle] = np.deg2rad(getattr(domain, f"{angle}_deg") * (2 * values[angle] - 1))
    for axis in ("shift_x", "shift_y"):
        values[axis] = domain.shift * (2 * values[axis] - 1)

    version = values["version"][:, None]
    units = version * _EXPRESSIONS[labels, 0] + (1 - version) * _EXPRESSIONS[labels, 1]
    units = values["intensity"][:, None] * units + values["blend"][:, None] * _EXPRESSIONS[other, 0] + spread
    values.update(zip(_UNITS, units.T, strict=True))

    tone = np.interp(values["skin_tone"][None] * (len(_SKIN) - 1), np.arange(len(_SKIN)), np.arange(len(_SKIN)))
    below = np.minimum(tone.astype(np.int64), len(_SKIN) - 2)
    colours["skin"] = (_SKIN[below] * (1 - (tone - below))[..., None] + _SKIN[below + 1] * (tone - below)[..., None])[
        0
    ].T
    return SimpleNamespace()
