"""Drawn faces that move with seven expressions: two domains that need no download.

A face is drawn from the facial action units of its expression (Ekman & Friesen, 1978) over a random identity, in a
scene that the domain describes. All geometry is in face units: the head is about 1.4 wide and 1.8 high around
(0, 0), x to the right, y down, and at scale 1 the head just fits the image, which spans -1..1. A face is a
function of the seed, its index and its label alone, and the same at every size.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace

import numpy as np

Range = tuple[float, float]
_Draw = Callable[["_Canvas", SimpleNamespace], None]


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
    coarse_rate: float = 0.0  #: share of images seen at about 3/4 to 1/2 of a resolution of 48 px
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

#: Faces that share a random stream; part of the definition of a set, not only of its speed.
_CHUNK = 16

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
    "jaw_taper": (0.05, 0.25),  # share of the width that is lost at the chin
    "eye_x": (0.27, 0.33),
    "eye_y": (-0.14, -0.06),
    "eye_width": (0.15, 0.19),  # half
    "eye_open": (0.068, 0.095),  # half
    "eye_slant": (-0.02, 0.03),
    "gaze": (-0.03, 0.03),
    "brow_gap": (0.19, 0.24),  # above the eye
    "brow_thickness": (0.018, 0.042),  # half
    "brow_arch": (0.015, 0.05),
    "nose_y": (0.17, 0.25),
    "nose_width": (0.085, 0.125),  # half
    "mouth_gap": (0.28, 0.34),  # below the nose tip
    "mouth_width": (0.23, 0.3),  # half
    "lips": (0.03, 0.06),  # half of both lips' thickness
    "crease": (0.4, 1.0),  # depth of wrinkles, 0..1
    "hair_line": (-0.68, -0.52),
    "hair_volume": (0.03, 0.16),
    "hair_length": (-0.6, 1.4),  # where hair beside the face ends, y
    "hair_part": (-0.25, 0.25),  # slope of the fringe
    "hair_tone": (0.0, 1.0),
    "iris_tone": (0.0, 1.0),
    "beard_tone": (0.25, 0.95),  # stubble to full
}

#: Shares of faces with features that not everybody has.
_IDENTITY_RATES = {"bald": 0.08, "bearded": 0.2}

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


def draw_faces(labels: np.ndarray, domain: ToyDomain, seed: int, size_px: int = 48) -> tuple[np.ndarray, np.ndarray]:
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

    # Threads, as numpy lets go of the interpreter's lock while it computes.
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
    """All that is random about faces but their noise: ``(N, 1, 1)`` arrays, colours ``(3, N, 1, 1)``.

    A full chunk is drawn whatever N is, so that a face does not depend on how many follow it.
    """
    n = len(labels)
    ranges, rates = _IDENTITY | _scene_ranges(domain), _IDENTITY_RATES | _scene_rates(domain)
    uniform = rng.random((len(ranges) + len(rates), _CHUNK), np.float32)[:, :n]
    spread = rng.standard_normal((len(_UNITS), _CHUNK), np.float32)[:, :n] * np.float32(_UNIT_SPREAD)
    values = {
        name: np.float32(low) + np.float32(high - low) * u
        for (name, (low, high)), u in zip(ranges.items(), uniform[: len(ranges)], strict=True)
    }
    flags = {
        name: (u < rate).astype(np.float32)
        for (name, rate), u in zip(rates.items(), uniform[len(ranges) :], strict=True)
    }
    first, second = _EXPRESSIONS[labels].transpose(1, 2, 0)  # (units, N)
    textbook = second + (first - second) * values["version"]
    units = values["intensity"] * textbook + values["blend"] * _EXPRESSIONS[values["other"].astype(int), 0].T
    values |= flags | dict(zip(_UNITS, units + spread, strict=True))
    values |= _random_colours(values, rng.random((3, 6, _CHUNK), np.float32)[..., :n], domain)
    return SimpleNamespace(**{name: value[..., None, None] for name, value in values.items()})


def _scene_ranges(domain: ToyDomain) -> dict[str, Range]:
    """The ranges of what does not belong to a face's identity."""
    yaw, pitch, roll = np.deg2rad([domain.yaw_deg, domain.pitch_deg, domain.roll_deg])
    signed, turn = (-1.0, 1.0), (0.0, 2 * np.pi)
    return {
        "version": (0.0, 1.0),  # between the two textbook versions of the expression
        "other": (0.0, len(_EXPRESSIONS) - 1e-3),  # the expression that is mixed in
        "intensity": domain.intensity,
        "blend": domain.blend,
        "yaw": (-yaw, yaw),
        "pitch": (-pitch, pitch),
        "roll": (-roll, roll),
        "scale": domain.scale,
        "shift_x": (-domain.shift, domain.shift),
        "shift_y": (-domain.shift, domain.shift),
        "skin_tone": domain.skin_tone,
        "light": domain.light,
        "light_angle": turn,
        "shadow": domain.shadow,
        "shadow_angle": turn,
        "shadow_offset": (-0.1, 0.5),
        "exposure": domain.exposure,
        "contrast": domain.contrast,
        "blur": domain.blur,
        "coarseness": (1.3, 2.2),  # pixels that become one
        "occluder": (0.0, len(_OCCLUDERS) - 1e-3),  # which one
        "occluder_x": signed,
        "occluder_y": signed,
        "occluder_angle": (-0.7, 0.7),
        "clutter_angle": turn,
        "noise": domain.noise,
    }


def _scene_rates(domain: ToyDomain) -> dict[str, float]:
    """The shares of faces with what does not belong to a face's identity."""
    return {
        "gray": domain.gray_rate,
        "coarse": domain.coarse_rate,
        "occluded": domain.occlusion_rate,
        "spectacles": domain.spectacles_rate,
    }


def _random_colours(values: dict[str, np.ndarray], random: np.ndarray, domain: ToyDomain) -> dict[str, np.ndarray]:
    """Colours ``(3, N)`` of all that is painted, from the tones of a face and uniform ``random`` ``(3, 6, N)``."""
    backdrop, clutter_a, clutter_b, shirt, occluder, cast = random.swapaxes(0, 1)
    clutter, spread = np.float32(domain.clutter), np.float32(0.25 + 0.6 * domain.clutter)
    backdrop = 0.78 - 0.3 * clutter + (backdrop - 0.5) * spread
    skin = _from_palette(_SKIN, values["skin_tone"]) + (cast - 0.5) * 0.04
    return {
        "skin": skin,
        "hair": _from_palette(_HAIR, values["hair_tone"]),
        "iris": _from_palette(_IRIS, values["iris_tone"]),
        "lip": skin * 0.55 + np.array([[0.32], [0.08], [0.10]], np.float32),
        "line": skin * np.array([[0.45], [0.36], [0.34]], np.float32),  # wrinkles and folds
        "backdrop": backdrop,
        "clutter_a": backdrop + (clutter_a - backdrop) * clutter,
        "clutter_b": backdrop + (clutter_b - backdrop) * clutter,
        "shirt": shirt * 0.8,
        "occluder_colour": occluder,
        "cast": 1 + (2 * cast - 1) * np.float32(domain.cast),
    }


def _from_palette(palette: np.ndarray, position: np.ndarray) -> np.ndarray:
    """Colours ``(3, N)`` at positions 0..1 along a palette ``(colours, 3)``, mixed from the two nearest."""
    where = position * (len(palette) - 1)
    below = np.minimum(where.astype(np.int64), len(palette) - 2)
    share = (where - below)[:, None]
    return (palette[below] * (1 - share) + palette[below + 1] * share).astype(np.float32).T


# Geometry


def _project(face: SimpleNamespace, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Where points of the face surface appear in the image: ``(N, 1, 1)`` face units to ``(N, 2)`` in -1..1."""
    x, y = u / _RADIUS_X, v / _RADIUS_Y
    z = np.sqrt(np.maximum(1 - x * x - y * y, 0))
    x, z = x * np.cos(face.yaw) + z * np.sin(face.yaw), z * np.cos(face.yaw) - x * np.sin(face.yaw)
    y = y * np.cos(face.pitch) + z * np.sin(face.pitch)
    head_x, head_y = _recentre(face)
    x, y = _RADIUS_X * x + head_x, _RADIUS_Y * y + head_y
    cos, sin = np.cos(face.roll) * face.scale, np.sin(face.roll) * face.scale
    return np.stack([cos * x - sin * y + face.shift_x, sin * x + cos * y + face.shift_y], -1)[:, 0, 0]


def _recentre(face: SimpleNamespace) -> tuple[np.ndarray, np.ndarray]:
    """Where the head's axis lies: a crop follows the features, which a turn of the head carries away from it."""
    return -0.6 * _RADIUS_X * np.sin(face.yaw), -0.6 * _RADIUS_Y * np.sin(face.pitch)


def _nose_tip(face: SimpleNamespace) -> tuple[np.ndarray, np.ndarray]:
    """The nose tip as a surface point: it stands out, so a turn moves it further than its surroundings."""
    return _NOSE_DEPTH * np.sin(face.yaw), face.nose_y - 0.04 * face.wrinkle + _NOSE_DEPTH * np.sin(face.pitch)


def _mouth(face: SimpleNamespace) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Half-width, y of the middle and y of the corners of the line between the lips."""
    middle = face.nose_y + face.mouth_gap + 0.025 * face.corners - 0.02 * face.upper_lip
    corner = middle - 0.115 * face.corners + 0.06 * face.jaw
    return face.mouth_width * (1 + 0.42 * face.stretch), middle, corner


def _landmarks(face: SimpleNamespace) -> np.ndarray:
    """The five points ``(N, 5, 2)`` in -1..1."""
    width, _, corner = _mouth(face)
    points = [(-face.eye_x, face.eye_y), (face.eye_x, face.eye_y), _nose_tip(face), (-width, corner), (width, corner)]
    return np.stack([_project(face, u, v) for u, v in points], axis=1)


class _Canvas:
    """Pixels of N images with the coordinates that shapes are drawn in.

    Attributes:
        rgb: ``(3, N, H, W)``.
        x, y: ``(N, H, W)`` head coordinates: face units in the image plane, upright.
        u, v: ``(N, H, W)`` coordinates on the turned face: what a frontal view would show there.
        step: ``(N, 1, 1)`` side of a pixel in face units, over which edges fade.
    """

    def __init__(self, rgb: np.ndarray, coordinates: np.ndarray, step: np.ndarray) -> None:
        self.rgb = rgb
        self.coordinates = coordinates  # (4, N, H, W)
        self.x, self.y, self.u, self.v = coordinates
        self.step = step

    def inside(self, distance: np.ndarray) -> np.ndarray:
        """Coverage ``(N, H, W)`` of the shape whose signed distance, negative inside, is given."""
        return np.clip(0.5 - distance / self.step, 0, 1)

    def stroke(self, distance: np.ndarray, half_width: np.ndarray | float) -> np.ndarray:
        """Coverage of a line, fainter where it is thinner than a pixel."""
        half = np.maximum(half_width, self.step / 2)
        return self.inside(np.abs(distance) - half) * (half_width / half)

    def paint(self, coverage: np.ndarray, colour: np.ndarray | np.float32 | float) -> None:
        """Mixes a colour ``(3, N, 1, 1)`` or a gray in where a shape covers."""
        change = colour - self.rgb
        change *= coverage
        self.rgb += change

    def window(self, centre: np.ndarray, half_side: float) -> tuple[slice | np.ndarray, ...]:
        """The index of the square around a point ``(N, 2)``, in -1..1, of each image; half its side in face units."""
        side = self.rgb.shape[-1]
        reach = int(np.ceil(half_side / self.step.min()))
        length = min(2 * reach, side)
        start = np.clip(np.rint((centre + 1) * (side / 2)).astype(int) - reach, 0, side - length)
        columns, rows = (start[:, axis, None] + np.arange(length) for axis in (0, 1))  # (N, length)
        return slice(None), np.arange(len(centre))[:, None, None], rows[:, :, None], columns[:, None, :]


def _blank(face: SimpleNamespace, size_px: int) -> _Canvas:
    """A canvas over the whole images, its colours not yet set."""
    grid = (np.arange(size_px, dtype=np.float32) + 0.5) * np.float32(2 / size_px) - 1
    image_x, image_y = grid - face.shift_x, grid[:, None] - face.shift_y
    cos, sin = np.cos(face.roll) / face.scale, np.sin(face.roll) / face.scale
    x, y = cos * image_x + sin * image_y, cos * image_y - sin * image_x
    head_x, head_y = _recentre(face)
    u, v = (x - head_x) / _RADIUS_X, (y - head_y) / _RADIUS_Y
    z = np.sqrt(np.maximum(1 - u * u - v * v, 0))
    v, z = v * np.cos(face.pitch) - z * np.sin(face.pitch), z * np.cos(face.pitch) + v * np.sin(face.pitch)
    u = u * np.cos(face.yaw) - z * np.sin(face.yaw)
    coordinates = np.stack([x - head_x, y - head_y, u * _RADIUS_X, v * _RADIUS_Y])
    rgb = np.empty((3, *x.shape), np.float32)
    return _Canvas(rgb, coordinates, np.float32(2 / size_px) / face.scale)


# Drawing, from back to front


def _draw(face: SimpleNamespace, size_px: int) -> np.ndarray:
    """Images ``(3, N, size_px, size_px)`` in full light, 0..1."""
    canvas = _blank(face, size_px)
    _draw_backdrop(canvas, face)
    _draw_head(canvas, face)
    _draw_hair(canvas, face)
    nose_u, nose_v = _nose_tip(face)
    _, mouth_v, _ = _mouth(face)
    _draw_part(canvas, face, _draw_forehead, (0.0, face.eye_y - face.brow_gap - 0.1), 0.36)
    _draw_part(canvas, face, _draw_nose, (nose_u / 2, nose_v - 0.06), 0.34)
    _draw_part(canvas, face, _draw_mouth, (0.0, mouth_v), 0.5)
    for side in (-1, 1):
        _draw_part(canvas, face, partial(_draw_eye, side=side), (side * face.eye_x, face.eye_y - 0.06), 0.36)
    _draw_on(canvas, face, _spectacles, face.spectacles > 0)
    for kind, occluder in enumerate(_OCCLUDERS):
        _draw_on(canvas, face, occluder, (face.occluded > 0) & (face.occluder.astype(int) == kind))
    return canvas.rgb


def _draw_on(canvas: _Canvas, face: SimpleNamespace, draw: _Draw, chosen: np.ndarray) -> None:
    """Draws on some of the images, those where ``chosen`` ``(N, 1, 1)`` is true."""
    index = np.flatnonzero(chosen)
    if index.size:
        part = _Canvas(canvas.rgb[:, index], canvas.coordinates[:, index], canvas.step[index])
        draw(part, SimpleNamespace(**{name: value[..., index, :, :] for name, value in vars(face).items()}))
        canvas.rgb[:, index] = part.rgb


def _draw_part(
    canvas: _Canvas, face: SimpleNamespace, draw: _Draw, centre: tuple[np.ndarray, np.ndarray], half_side: float
) -> None:
    """Draws in a window around a point (u, v) of the face: its details cover little of the image."""
    index = canvas.window(_project(face, *centre), half_side)
    part = _Canvas(canvas.rgb[index], canvas.coordinates[index], canvas.step)
    draw(part, face)
    canvas.rgb[index] = part.rgb


def _draw_backdrop(canvas: _Canvas, face: SimpleNamespace) -> None:
    """A wall with stripes and a disc where there is clutter, and shoulders."""
    x, y = canvas.x, canvas.y
    canvas.rgb[:] = face.backdrop * (1.05 - 0.12 * y)
    across = np.cos(face.clutter_angle) * x + np.sin(face.clutter_angle) * y
    canvas.paint(canvas.inside(np.abs(across - 0.7) - 0.18), face.clutter_a)
    canvas.paint(canvas.inside(np.abs(across + 0.9) - 0.1), face.clutter_b)
    disc_x, disc_y = 0.85 * np.sin(face.clutter_angle), -0.6 + 0.4 * np.cos(3 * face.clutter_angle)
    canvas.paint(canvas.inside(np.hypot(x - disc_x, y - disc_y) - 0.3), face.clutter_b)
    canvas.paint(canvas.inside(np.hypot(x / 1.15, (y - 1.3) / 0.42) - 1), face.shirt)
    canvas.paint(canvas.inside(np.maximum(np.abs(x) - 0.4, 0.3 - y) + np.maximum(y - 1, 0)), face.skin * 0.75)


def _head_distance(canvas: _Canvas, face: SimpleNamespace) -> np.ndarray:
    """Signed distance from the outline of the head; an opening jaw lengthens it."""
    height = np.where(canvas.y > 0, face.head_height + 0.07 * np.maximum(face.jaw, 0), face.head_height)
    t = canvas.y / height
    width = face.head_width * (1 - face.jaw_taper * np.square(np.clip(t, 0, 1)))
    return (np.hypot(canvas.x / width, t) - 1) * width


def _draw_head(canvas: _Canvas, face: SimpleNamespace) -> None:
    """Hair behind the head, ears, and the head with its rim in shade."""
    x, y, hair = canvas.x, canvas.y, 1.0 - face.bald
    volume = face.hair_volume * np.clip(0.5 + face.hair_length, 0.25, 1)  # short hair lies close
    behind = np.hypot(x / (face.head_width + volume), np.minimum(y, 0) / (0.9 + volume)) - 1
    canvas.paint(hair * canvas.inside(np.maximum(behind * 0.7, y - face.hair_length)), face.hair * 0.8)
    for side in (-1, 1):
        ear_x = side * (face.head_width + 0.01) - 0.12 * np.sin(face.yaw)
        ear = np.hypot((x - ear_x) / 0.09, (y - face.eye_y - 0.1) / 0.17) - 1
        canvas.paint(canvas.inside(ear * 0.1), face.skin * 0.85)
    distance = _head_distance(canvas, face)
    canvas.paint(canvas.inside(distance), face.skin)
    canvas.paint(0.35 * canvas.inside(distance) * np.clip(1 + distance / 0.3, 0, 1), face.line)


def _draw_hair(canvas: _Canvas, face: SimpleNamespace) -> None:
    """The fringe, which lies on the turned face, and a beard."""
    u, v, distance = canvas.u, canvas.v, _head_distance(canvas, face)
    fringe = face.hair_line + face.hair_part * u + 1.1 * np.square(u * u)
    canvas.paint((1.0 - face.bald) * canvas.inside(np.maximum(distance - 0.03, v - fringe)), face.hair)
    _, mouth, _ = _mouth(face)
    cheek = 0.4 - 0.4 * np.hypot(u / (0.75 * face.head_width), (v - 0.1) / (mouth - 0.02))
    beard = np.maximum(cheek, 0.15 - v)
    moustache = np.hypot(u / 0.27, (v - (face.nose_y + 0.6 * (mouth - face.nose_y)) - u * u) / 0.09) * 0.12 - 0.12
    soft = np.clip(0.5 - np.minimum(beard, moustache) / 0.1, 0, 1)
    canvas.paint(face.bearded * face.beard_tone * canvas.inside(distance) * soft, face.hair)


def _draw_forehead(canvas: _Canvas, face: SimpleNamespace) -> None:
    """Lines across the forehead where brows go up, and furrows between brows that are drawn together."""
    u, v, brow = canvas.u, canvas.v, face.eye_y - face.brow_gap
    raised = np.clip(np.maximum(face.inner_up, face.outer_up), 0, 1) * face.crease
    for above in (0.17, 0.25):
        line = canvas.stroke(v - (brow - above - 0.15 * u * u), 0.012)
        canvas.paint(0.5 * raised * line * canvas.inside(np.abs(u) - 0.3), face.line)
    drawn = np.clip(face.brow_down, 0, 1) * face.crease
    furrow = canvas.stroke(np.abs(u) - 0.045, 0.012) * canvas.inside(np.abs(v - brow - 0.06) - 0.08)
    canvas.paint(0.8 * drawn * furrow, face.line)


def _draw_eye(canvas: _Canvas, face: SimpleNamespace, side: int) -> None:
    """Brow, lids, iris and the cheek below, ``out`` being the direction away from the nose."""
    out, v = side * canvas.u - face.eye_x, canvas.v - face.eye_y
    _draw_brow(canvas, face, out, v)
    t = np.clip(out / face.eye_width, -1, 1)
    bow, slant = 1 - t * t, -face.eye_slant * t
    half = face.eye_open * np.clip(1 + 0.75 * face.lids, 0.2, 1.8)
    frown = 0.035 * np.clip(face.brow_down, 0, 1.2) * (0.6 - t)  # lowered brows press on the inner lid
    droop = 0.03 * np.clip(face.inner_up - face.outer_up - 0.6, 0, 1) * (0.5 + t)
    upper = slant - bow * np.maximum(1.15 * half - frown - droop, 0.012)
    lower = slant + bow * np.maximum(0.8 * half - 0.035 * np.clip(face.cheeks, -1, 1), 0.008)
    beside = np.abs(out) - face.eye_width
    opening = canvas.inside(np.maximum(np.maximum(upper - v, v - lower), beside))
    canvas.paint(opening, _WHITE)
    iris_x, iris_y = out - side * face.gaze, v + 0.2 * half
    radius = np.hypot(iris_x, iris_y)
    canvas.paint(opening * canvas.inside(radius - 0.078), face.iris)
    canvas.paint(opening * canvas.inside(radius - 0.038), _BLACK)
    canvas.paint(opening * canvas.inside(np.hypot(iris_x + 0.03 * side, iris_y + 0.03) - 0.018), _WHITE)
    lash = canvas.inside(beside - 0.01)
    canvas.paint(0.9 * lash * canvas.stroke(v - upper, 0.016), face.line * 0.4)
    canvas.paint(0.5 * lash * canvas.stroke(v - lower, 0.009), face.line)
    canvas.paint(0.45 * lash * canvas.stroke(v - upper + 0.05, 0.01), face.line)
    raised = np.clip(face.cheeks, 0, 1) * face.crease
    canvas.paint(0.6 * raised * lash * canvas.stroke(v - lower - 0.06 - 0.03 * bow, 0.012), face.line)
    canvas.paint(0.35 * raised * np.clip(1.2 - np.hypot(out / 0.17, (v - 0.25) / 0.11), 0, 1), face.lip)


def _draw_brow(canvas: _Canvas, face: SimpleNamespace, out: np.ndarray, v: np.ndarray) -> None:
    """A line that tapers outwards, its two ends and its arch moved by the brow's action units."""
    start, end = -0.16 - 0.055 * face.brow_down, 0.2 - 0.01 * face.brow_down
    inner = -face.brow_gap - 0.11 * face.inner_up + 0.1 * face.brow_down
    outer = -face.brow_gap - 0.1 * face.outer_up + 0.03 * face.brow_down
    t = (out - start) / (end - start)
    arch = face.brow_arch + 0.02 * face.outer_up - 0.03 * face.brow_down
    middle = inner + (outer - inner) * t - arch * 4 * t * (1 - t)
    half = face.brow_thickness * (1 - 0.55 * np.clip(t, 0, 1) ** 2)
    ends = canvas.inside((np.abs(t - 0.5) - 0.5) * (end - start))
    canvas.paint(0.9 * ends * canvas.stroke(v - middle, half), face.hair * 0.7)


def _draw_nose(canvas: _Canvas, face: SimpleNamespace) -> None:
    """Bridge, tip, wings and nostrils; wrinkling raises the wings and folds the bridge."""
    tip_u, tip_v = _nose_tip(face)
    bridge_v = face.eye_y + 0.02
    t = np.clip((canvas.v - bridge_v) / (tip_v - bridge_v), 0, 1)
    u, v = canvas.u - tip_u * t, canvas.v - tip_v
    width = face.nose_width * (1 + 0.2 * np.clip(face.wrinkle, 0, 1))
    along = canvas.inside(np.maximum(bridge_v - canvas.v, v))
    canvas.paint(0.3 * along * canvas.stroke(np.abs(u) - 0.06 - 0.04 * t, 0.014), face.line)
    canvas.paint(0.3 * np.clip(1.3 - np.hypot(u / 0.07, (v + 0.02) / 0.07), 0, 1), _WHITE)
    wing = np.hypot(np.abs(u) - width + 0.05, v - 0.01) - 0.055
    canvas.paint(0.6 * canvas.stroke(wing, 0.013) * canvas.inside(width - 0.045 - np.abs(u)), face.line)
    canvas.paint(
        0.7 * canvas.inside((np.hypot((np.abs(u) - 0.05) / 0.035, (v - 0.05) / 0.02) - 1) * 0.02), face.line * 0.5
    )
    canvas.paint(0.4 * canvas.stroke(v - 0.075 + 2 * u * u, 0.013) * canvas.inside(np.abs(u) - 0.08), face.line)
    folded = np.clip(face.wrinkle, 0, 1) * face.crease
    for above in (0.13, 0.2, 0.27):
        fold = canvas.stroke(v + above - 0.5 * np.abs(u), 0.013) * canvas.inside(np.abs(u) - 0.1)
        canvas.paint(0.75 * folded * fold, face.line)


def _draw_mouth(canvas: _Canvas, face: SimpleNamespace) -> None:
    """Lips, what an open mouth shows, and the folds from the nose to the mouth."""
    u, v = canvas.u, canvas.v
    width, middle, corner = _mouth(face)
    t = np.clip(u / width, -1, 1)
    bow = 1 - t * t
    seam, arch = corner + (middle - corner) * bow, np.sqrt(bow)
    open_up, open_down = _mouth_opening(face)
    top, bottom = seam - open_up * arch, seam + open_down * arch
    thickness = face.lips * (1 - 0.8 * np.clip(face.press, 0, 1.1)) * bow
    dip = 1 - 0.4 * np.maximum(1 - np.abs(t) / 0.3, 0)  # the cupid's bow
    beside = np.abs(u) - width
    lips = np.maximum(np.maximum(top - thickness * dip - v, v - bottom - 1.35 * thickness), beside)
    canvas.paint(canvas.inside(lips), face.lip)
    hole = np.maximum(np.maximum(top - v, v - bottom), beside)
    is_open = np.clip((open_up + open_down) / 0.03 - 0.5, 0, 1)
    canvas.paint(is_open * canvas.inside(hole), face.line * 0.3)
    tongue = np.maximum(hole, bottom - 0.07 - v)
    canvas.paint(0.8 * np.clip(face.jaw, 0, 1) * canvas.inside(tongue), face.lip * 0.8)
    teeth = np.maximum(hole + 0.008, v - top - 0.1 * np.clip(face.teeth, 0, 1))
    canvas.paint(is_open * np.clip(3 * face.teeth, 0, 1) * canvas.inside(teeth), _WHITE)
    line = np.hypot(v - seam, np.maximum(beside, 0))
    canvas.paint(0.85 * (1 - is_open) * canvas.stroke(line, 0.014), face.line * 0.6)
    canvas.paint(0.8 * canvas.inside(np.hypot(np.abs(u) - width, v - corner) - 0.024), face.line * 0.6)
    canvas.paint(
        0.3 * canvas.stroke(v - bottom - 1.35 * thickness - 0.05, 0.02) * canvas.inside(beside + 0.12), face.line
    )
    _draw_folds(canvas, face, width, corner)


def _mouth_opening(face: SimpleNamespace) -> tuple[np.ndarray, np.ndarray]:
    """How far the lips part above and below the line of the closed mouth."""
    jaw, lip = np.maximum(face.jaw - 0.04, 0), np.maximum(face.upper_lip - 0.1, 0)
    return 0.04 * jaw + 0.055 * lip, 0.23 * jaw


def _draw_folds(canvas: _Canvas, face: SimpleNamespace, width: np.ndarray, corner: np.ndarray) -> None:
    """The nasolabial folds, deep in smiles and disgust."""
    depth = np.clip(np.maximum(face.corners, face.wrinkle) + 0.15, 0, 1) * face.crease
    start = face.nose_y - 0.03
    t = (canvas.v - start) / (corner + 0.03 - start)
    fold = face.nose_width + 0.04 + (width + 0.07 - face.nose_width - 0.04) * t + 0.12 * t * (1 - t)
    within = canvas.inside((np.abs(t - 0.5) - 0.5) * 0.4)
    canvas.paint(0.65 * depth * within * canvas.stroke(np.abs(canvas.u) - fold, 0.014), face.line)


# What hides a face


def _lens_distance(canvas: _Canvas, face: SimpleNamespace) -> np.ndarray:
    """Signed distance from the outlines of two lenses."""
    square = np.abs((np.abs(canvas.u) - face.eye_x) / 0.235) ** 3 + np.abs((canvas.v - face.eye_y) / 0.17) ** 3
    return (np.cbrt(square) - 1) * 0.19


def _spectacles(canvas: _Canvas, face: SimpleNamespace) -> None:
    rims = canvas.stroke(_lens_distance(canvas, face), 0.018)
    bridge = canvas.inside(np.abs(canvas.u) - face.eye_x + 0.235) * canvas.stroke(canvas.v - face.eye_y + 0.03, 0.016)
    canvas.paint(np.maximum(rims, bridge), face.shirt * 0.4)


def _sunglasses(canvas: _Canvas, face: SimpleNamespace) -> None:
    bridge = np.maximum(np.abs(canvas.v - face.eye_y + 0.06) - 0.03, np.abs(canvas.u) - face.head_width)
    lens = np.minimum(_lens_distance(canvas, face) - 0.02, bridge)
    canvas.paint(0.95 * canvas.inside(lens), face.occluder_colour * 0.2)


def _hand(canvas: _Canvas, face: SimpleNamespace) -> None:
    """Four fingers and a palm that come from below, over a cheek, the mouth or the chin."""
    px, py = _occluder_frame(canvas, face, 0.45 * face.occluder_x, 0.75 + 0.15 * face.occluder_y)
    distance = 0.3 * (np.hypot(px / 0.32, np.maximum(-py, 0) / 0.25) - 1)
    for finger, length in ((-0.23, 0.5), (-0.08, 0.6), (0.07, 0.58), (0.22, 0.45)):
        across = px - finger - 0.12 * finger * np.minimum(py, 0)
        distance = np.minimum(distance, np.hypot(across, py - np.clip(py, -length, 0)) - 0.07)
    canvas.paint(canvas.inside(distance - 0.02), face.line)
    canvas.paint(canvas.inside(distance), face.skin * 0.95)


def _object(canvas: _Canvas, face: SimpleNamespace) -> None:
    """A box with a stripe, such as a telephone or a cup, over one side of the face."""
    px, py = _occluder_frame(canvas, face, 0.55 * np.sign(face.occluder_x), 0.5 * face.occluder_y)
    box = np.maximum(np.abs(px) - 0.28, np.abs(py) - 0.42)
    canvas.paint(canvas.inside(box), face.occluder_colour)
    canvas.paint(canvas.inside(np.maximum(box + 0.05, np.abs(py) - 0.12)), face.clutter_a)


def _scarf(canvas: _Canvas, face: SimpleNamespace) -> None:
    """Cloth over the chin, up to the mouth or just below it."""
    edge = 0.62 + 0.14 * face.occluder_y - 0.15 * canvas.u**2
    cloth = np.maximum(edge - canvas.v, np.abs(canvas.x) - 0.85)
    canvas.paint(canvas.inside(cloth), face.occluder_colour)
    stripes = np.abs((canvas.v - edge) % 0.16 - 0.08) - 0.03
    canvas.paint(0.7 * canvas.inside(np.maximum(cloth, stripes)), face.clutter_b)


def _cap(canvas: _Canvas, face: SimpleNamespace) -> None:
    """A cap whose visor comes down to the brows."""
    edge = face.eye_y - face.brow_gap - 0.12 + 0.1 * face.occluder_y
    crown = np.maximum(canvas.v - edge, np.hypot(canvas.x / (face.head_width + 0.08), np.minimum(canvas.y, 0)) - 1)
    canvas.paint(canvas.inside(crown), face.occluder_colour)
    visor = np.hypot(canvas.u / (face.head_width + 0.02), (canvas.v - edge) / 0.1) - 1
    canvas.paint(canvas.inside(0.1 * visor), face.occluder_colour * 0.5)


_OCCLUDERS = (_sunglasses, _hand, _object, _scarf, _cap)


def _occluder_frame(
    canvas: _Canvas, face: SimpleNamespace, x: np.ndarray, y: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates around a point of the head, turned by the occluder's angle."""
    dx, dy = canvas.x - x, canvas.y - y
    cos, sin = np.cos(face.occluder_angle), np.sin(face.occluder_angle)
    return cos * dx + sin * dy, cos * dy - sin * dx


# Photography


def _photograph(rgb: np.ndarray, face: SimpleNamespace, rng: np.random.Generator) -> np.ndarray:
    """Light, lens and sensor: images ``(3, N, P, P)`` in full light to ``(N, 3, P, P)`` uint8."""
    _, n, size_px, _ = rgb.shape
    x = np.linspace(-1, 1, size_px, dtype=np.float32)
    y = x[:, None]
    light = 1 + face.light * (np.cos(face.light_angle) * x + np.sin(face.light_angle) * y)
    across = np.cos(face.shadow_angle) * x + np.sin(face.shadow_angle) * y
    light *= 1 - face.shadow * np.clip(0.5 + (across - face.shadow_offset) / 0.2, 0, 1)
    rgb = rgb * (light * face.exposure) * face.cast
    rgb = _blur(rgb, face.blur * np.float32(size_px / 1000))
    rgb = _coarsen(rgb, np.where(face.coarse, face.coarseness * np.float32(size_px / 48), 1))
    rgb = 0.5 + face.contrast * (rgb - 0.5)
    noise = rng.standard_normal((_CHUNK, 3, size_px, size_px), np.float32)[:n]
    rgb += face.noise * noise.swapaxes(0, 1)
    luminance = 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2]
    rgb = np.where(face.gray, luminance, rgb)
    return np.rint(np.clip(rgb, 0, 1) * 255).astype(np.uint8).swapaxes(0, 1)


def _blur(rgb: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """Gaussian blur of each image by its own standard deviation in pixels."""
    reach = int(np.ceil(2.5 * sigma.max()))
    offsets = np.arange(-reach, reach + 1)
    weights = np.exp(-0.5 * (offsets / np.maximum(sigma, 0.05)) ** 2) * (np.abs(offsets) <= 2.5 * sigma)
    weights = (weights / weights.sum(-1, keepdims=True)).astype(np.float32)  # (N, 1, offsets)
    size_px = rgb.shape[-1]
    for _ in range(2):
        padded = np.pad(rgb, ((0, 0), (0, 0), (0, 0), (reach, reach)), mode="edge")
        blurred = sum(weights[..., [k]] * padded[..., k : k + size_px] for k in range(2 * reach + 1))
        rgb = blurred.swapaxes(2, 3)
    return rgb


def _coarsen(rgb: np.ndarray, block_px: np.ndarray) -> np.ndarray:
    """Each image as if it had one sample in a block of ``block_px`` a side."""
    n, size_px = rgb.shape[1:3]
    block = block_px[:, 0]  # (N, 1)
    centre = (np.floor(np.arange(size_px) / block) + 0.5) * block
    index = np.minimum(centre.astype(int), size_px - 1)  # (N, P)
    return rgb[:, np.arange(n)[:, None, None], index[:, :, None], index[:, None, :]]
