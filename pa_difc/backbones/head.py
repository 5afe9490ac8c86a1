"""From a trunk's two feature maps to one feature vector."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .ir_unit import IRUnit
from .landmarks import NUM_LANDMARKS, landmark_windows

BRANCH_FEATURES = 64  #: of the global branch and of each local one


class GlobalLocalHead(nn.Module):
    """One global and five landmark features, side by side, then a layer across them: 64 + 5·64 = 384 features.

    Sreenivas et al. 2022, section 5.2: the last map is convolved to 64 channels and averaged; so is the 7×7 window of
    the mid map around each landmark, with weights of its own for each; Linear(384, 384) and ReLU connect them.

    ``landmark_branch="conv"`` is the paper's text, one 3×3 convolution for each landmark (its "7×7×64 filter" is taken
    as the shape of the resulting map). ``landmark_branch="ir"`` is what the benchmark it follows runs, one network of
    four IR units for each landmark (AGRA, Chen et al. 2022, arXiv:2008.00923). The five branches are one grouped
    network.

    Args:
        mid_channels: C1, of the map with the landmarks.
        last_channels: C2, of the last map.
        landmark_branch: "conv" or "ir".
    """

    num_features = BRANCH_FEATURES * (1 + NUM_LANDMARKS)

    def __init__(self, mid_channels: int, last_channels: int, landmark_branch: str) -> None:
        super().__init__()
        self.global_branch = nn.Sequential(nn.Conv2d(last_channels, BRANCH_FEATURES, 3, padding=1), nn.ReLU())
        self.local_branches = BRANCHES[landmark_branch](mid_channels, NUM_LANDMARKS)
        self.fusion = nn.Linear(self.num_features, self.num_features)

    def forward(self, mid: Tensor, last: Tensor, landmarks: Tensor, width_px: int) -> Tensor:
        """The features ``(N, 384)``.

        Args:
            mid: ``(N, C1, S, S)``, S at least 7.
            last: ``(N, C2, s, s)``.
            landmarks: ``(N, 5, 2)`` (x, y) in pixels of the image.
            width_px: side of the image.

        Raises:
            ValueError: a landmark is NaN or infinite.
        """
        windows = landmark_windows(mid, landmarks, width_px).flatten(1, 2)  # (N, 5·C1, 7, 7)
        maps = self.global_branch(last), self.local_branches(windows)  # (N, 64, s, s), (N, 320, 7, 7 or 2, 2)
        features = torch.cat([x.mean((2, 3)) for x in maps], dim=1)  # (N, 384)
        joined: Tensor = self.fusion(features)
        return joined.relu()


class GlobalOnlyHead(nn.Module):
    """The average of the last map over its places: C2 features, no weights, no landmarks."""

    def __init__(self, last_channels: int) -> None:
        super().__init__()
        self.num_features = last_channels

    def forward(self, mid: Tensor | None, last: Tensor, landmarks: Tensor, width_px: int) -> Tensor:
        return last.mean((2, 3))  # (N, C2)


def conv_branches(channels: int, branches: int) -> nn.Sequential:
    """``(N, branches·channels, 7, 7)`` to ``(N, branches·64, 7, 7)``: one 3×3 convolution and ReLU in each branch."""
    width = branches * BRANCH_FEATURES
    return nn.Sequential(nn.Conv2d(branches * channels, width, 3, padding=1, groups=branches), nn.ReLU())


def ir_branches(channels: int, branches: int) -> nn.Sequential:
    """``(N, branches·channels, 7, 7)`` to ``(N, branches·64, 2, 2)``: four IR units in each, then as above."""
    units = ((channels, 256, 2), (256, 256, 1), (256, 512, 2), (512, 512, 1))
    return nn.Sequential(
        *(IRUnit(branches * i, branches * o, stride, groups=branches) for i, o, stride in units),
        *conv_branches(512, branches),
    )


BRANCHES = {"conv": conv_branches, "ir": ir_branches}
