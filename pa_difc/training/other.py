"""Another model of ours beside the one that is trained: a teacher."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from ..backbones.classifiers import rows_of
from ..data.domains import Domain
from ..data.faces import Face
from ..util.errors import UserError
from .face_model import load_model


class OtherModel(nn.Module):
    """The model of a folder, its views and its corrected prior included, under the classes of a task.

    Args:
        folder: of a finished run, or one that ``export`` wrote.
        domain: data of the task.

    Raises:
        UserError: there is no model, its classes are others, or it was made for faces that were cut out otherwise.
    """

    def __init__(self, folder: Path, domain: Domain) -> None:
        super().__init__()
        self.model = load_model(folder).requires_grad_(False)
        self.rows = rows_of(domain.label_set, self.model.classes, f"the model of {folder}", "take another model")
        given, store = self.model.settings["input"], domain.store
        if given["prepared"] and store and given["crop"] != store["crop"]:
            raise UserError(
                f"the model of {folder} takes faces cut out as {given['crop']}, and {domain.name} is cut out as "
                f"{store['crop']}: prepare it with --crop {given['crop']}, or take another model"
            )

    def train(self, mode: bool = True) -> OtherModel:
        """It is always in eval mode."""
        return super().train(False)

    def forward(self, faces: Face) -> Tensor:
        """``(N, K)`` class probabilities; they sum to 1 without the classes that the task does not have."""
        probs: Tensor = self.model(faces.image, faces.landmarks)[:, self.rows]
        return probs / probs.sum(dim=1, keepdim=True)
