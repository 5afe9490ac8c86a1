"""Heads: from a trunk's feature maps to a feature vector."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .ir_unit import IRUnit
from .landmarks import NUM_LANDMARKS, landmark_windows
from .trunk import Maps

BRANCH_FEATURES = 64  #: features of the global branch and of each local one

#: Cells per side of the grid over each map, from fine to coarse.
GRIDS = {"mid": 4, "late": 3, "last": 2}


class GlobalLocalHead(nn.Module):
    """One global and five landmark branches of 64 features each, then a linear layer across all 384.

    Sreenivas et al. 2022, section 5.2: the last map is convolved to 64 channels and averaged; so is the 7×7 window of
    the mid map around each landmark, with separate weights per landmark. Linear(384, 384) and ReLU follow.

    ``landmark_branch="conv"`` follows the paper's text: one 3×3 convolution per landmark (its "7×7×64 filter" is read
    as the shape of the resulting map). ``landmark_branch="ir"`` follows the code of the benchmark that the paper uses:
    four IR units per landmark (AGRA, Chen et al. 2022, arXiv:2008.00923). The five branches are computed as one grouped
    network.

    Args:
        mid_channels: C1, the channels of the map with the landmarks.
        last_channels: C2, the channels of the last map.
        landmark_branch: "conv" or "ir".
    """

    num_features = BRANCH_FEATURES * (1 + NUM_LANDMARKS)

    def __init__(self, mid_channels: int, last_channels: int, landmark_branch: str) -> None:
        super().__init__()
        self.global_branch = nn.Sequential(nn.Conv2d(last_channels, BRANCH_FEATURES, 3, padding=1), nn.ReLU())
        self.local_branches = BRANCHES[landmark_branch](mid_channels, NUM_LANDMARKS)
        self.fusion = nn.Linear(self.num_features, self.num_features)

    def forward(self, maps: Maps, landmarks: Tensor, width_px: int) -> Tensor:
        """The features ``(N, 384)``.

        Args:
            maps: mid ``(N, C1, S, S)``, S at least 7, and last ``(N, C2, s, s)``; late is not used.
            landmarks: ``(N, 5, 2)`` (x, y) in pixels of the image.
            width_px: side of the image.

        Raises:
            ValueError: a landmark is NaN or infinite.
        """
        assert maps.mid is not None  # checked when the head was made
        windows = landmark_windows(maps.mid, landmarks, width_px).flatten(1, 2)  # (N, 5·C1, 7, 7)
        both = self.global_branch(maps.last), self.local_branches(windows)  # (N, 64, s, s), (N, 320, 7, 7 or 2, 2)
        features = torch.cat([x.mean((2, 3)) for x in both], dim=1)  # (N, 384)
        joined: Tensor = self.fusion(features)
        return joined.relu()


class GlobalOnlyHead(nn.Module):
    """The average of the last map over its positions: C2 features, no weights, no landmarks."""

    def __init__(self, last_channels: int) -> None:
        super().__init__()
        self.num_features = last_channels

    def forward(self, maps: Maps, landmarks: Tensor, width_px: int) -> Tensor:
        return maps.last.mean((2, 3))  # (N, C2)


class GridHead(nn.Module):
    """Standardised averages of chosen maps over the cells of a grid, which keep where in the face a feature occurs.

    f = standardised(concat over the maps of vec(AvgPool_g×g)), g = 4, 3, 2 for mid, late, last, which gives Σ C·g²
    features without weights or landmarks. The last layers of a face-recognition network discard expressions; its middle
    layers still have them, with their positions. AvgPool_g×g splits a side of S cells into g parts, where part i covers
    the cells from ⌊i·S/g⌋ to ⌈(i + 1)·S/g⌉; if g does not divide S, parts overlap by a cell.

    The scales of features from different depths differ by orders of magnitude, so BatchNorm (Ioffe and Szegedy 2015,
    arXiv:1502.03167) without weights standardises them. A training batch is of one domain, so in training each domain
    has its own mean and standard deviation; in eval mode the running statistics over both apply. Frozen features
    differ: each domain is standardised by the mean and standard deviation of its own training set, also at test time.

    Maps ``(N, C, S, S)`` maps to ``(N, num_features)``.

    Args:
        channels: the channels of each chosen map, by name as in :data:`GRIDS`, in the order of the features.
    """

    def __init__(self, channels: Mapping[str, int]) -> None:
        super().__init__()
        self.maps = tuple(channels)
        self.num_features = sum(count * GRIDS[name] ** 2 for name, count in channels.items())
        self.norm = nn.BatchNorm1d(self.num_features, affine=False)

    def forward(self, maps: Maps, landmarks: Tensor, width_px: int) -> Tensor:
        cells = [F.adaptive_avg_pool2d(getattr(maps, name), GRIDS[name]).flatten(1) for name in self.maps]
        features: Tensor = self.norm(torch.cat(cells, dim=1))  # (N, Σ C·g²): by map, channel, row, column
        return features


def conv_branches(channels: int, branches: int) -> nn.Sequential:
    """One 3×3 convolution and ReLU per branch: ``(N, branches·channels, 7, 7)`` to ``(N, branches·64, 7, 7)``."""
    width = branches * BRANCH_FEATURES
    return nn.Sequential(nn.Conv2d(branches * channels, width, 3, padding=1, groups=branches), nn.ReLU())


def ir_branches(channels: int, branches: int) -> nn.Sequential:
    """Four IR units per branch, then as above: ``(N, branches·channels, 7, 7)`` to ``(N, branches·64, 2, 2)``."""
    units = ((channels, 256, 2), (256, 256, 1), (256, 512, 2), (512, 512, 1))
    return nn.Sequential(
        *(IRUnit(branches * i, branches * o, stride, groups=branches) for i, o, stride in units),
        *conv_branches(512, branches),
    )


BRANCHES = {"conv": conv_branches, "ir": ir_branches}
