"""Identities and expressions of faces: action units, palettes, and everything random but noise."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from .domains import Range, ToyDomain
from .occluders import OCCLUDERS

#: Faces that share a random stream; changing it changes the faces.
CHUNK = 16


#: The action units, in the order of the columns of :data:`EXPRESSIONS`.
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
EXPRESSIONS = np.array(
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


#: Ranges of the identity's uniform distributions, in face units unless stated otherwise.
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


#: Rates of features that not everybody has.
_IDENTITY_RATES = {"bald": 0.08, "bearded": 0.2}


_SKIN = np.array([[0.98, 0.84, 0.74], [0.87, 0.66, 0.51], [0.62, 0.42, 0.30], [0.42, 0.28, 0.20]], np.float32)


_HAIR = np.array(
    [[0.10, 0.08, 0.08], [0.22, 0.14, 0.09], [0.38, 0.23, 0.12], [0.72, 0.54, 0.28], [0.52, 0.20, 0.09], [0.6] * 3],
    np.float32,
)


_IRIS = np.array([[0.20, 0.12, 0.07], [0.30, 0.19, 0.10], [0.20, 0.33, 0.45], [0.22, 0.33, 0.20]], np.float32)


def random_faces(labels: np.ndarray, domain: ToyDomain, rng: np.random.Generator) -> SimpleNamespace:
    """Draws everything random about faces but their noise: arrays ``(N, 1, 1)``, colours ``(3, N, 1, 1)``.

    A full chunk of random numbers is always drawn, so that a face does not depend on how many follow it.
    """
    n = len(labels)
    ranges, rates = _IDENTITY | _scene_ranges(domain), _IDENTITY_RATES | _scene_rates(domain)
    uniform = rng.random((len(ranges) + len(rates), CHUNK), np.float32)[:, :n]
    spread = rng.standard_normal((len(_UNITS), CHUNK), np.float32)[:, :n] * np.float32(_UNIT_SPREAD)
    values = {
        name: np.float32(low) + np.float32(high - low) * u
        for (name, (low, high)), u in zip(ranges.items(), uniform[: len(ranges)], strict=True)
    }
    flags = {
        name: (u < rate).astype(np.float32)
        for (name, rate), u in zip(rates.items(), uniform[len(ranges) :], strict=True)
    }
    first, second = EXPRESSIONS[labels].transpose(1, 2, 0)  # (units, N)
    textbook = second + (first - second) * values["version"]
    units = values["intensity"] * textbook + values["blend"] * EXPRESSIONS[values["other"].astype(int), 0].T
    values |= flags | dict(zip(_UNITS, units + spread, strict=True))
    values |= _random_colours(values, rng.random((3, 6, CHUNK), np.float32)[..., :n], domain)
    return SimpleNamespace(**{name: value[..., None, None] for name, value in values.items()})


def _scene_ranges(domain: ToyDomain) -> dict[str, Range]:
    """The ranges of a domain's scene: everything that is not part of the identity."""
    yaw, pitch, roll = np.deg2rad([domain.yaw_deg, domain.pitch_deg, domain.roll_deg])
    signed, turn = (-1.0, 1.0), (0.0, 2 * np.pi)
    return {
        "version": (0.0, 1.0),  # between the two textbook versions of the expression
        "other": (0.0, len(EXPRESSIONS) - 1e-3),  # the expression that is mixed in
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
        "occluder": (0.0, len(OCCLUDERS) - 1e-3),  # which one
        "occluder_x": signed,
        "occluder_y": signed,
        "occluder_angle": (-0.7, 0.7),
        "clutter_angle": turn,
        "noise": domain.noise,
    }


def _scene_rates(domain: ToyDomain) -> dict[str, float]:
    """The rates of a domain's scene."""
    return {
        "gray": domain.gray_rate,
        "coarse": domain.coarse_rate,
        "occluded": domain.occlusion_rate,
        "spectacles": domain.spectacles_rate,
    }


def _random_colours(values: dict[str, np.ndarray], random: np.ndarray, domain: ToyDomain) -> dict[str, np.ndarray]:
    """The colours ``(3, N)`` of a face and its scene, from its tones and uniform ``random`` ``(3, 6, N)``."""
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
    colours: np.ndarray = (palette[below] * (1 - share) + palette[below + 1] * share).astype(np.float32).T
    return colours
