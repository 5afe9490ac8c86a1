"""Checks that a plugin's code carries no state from one run to the next in the same process."""

from __future__ import annotations

from ..backbones import BACKBONES
from ..data.sampling import SAMPLERS
from ..losses import LOSSES
from ..methods import METHODS
from ..util.code import definition
from ..util.errors import UserError
from .digests import changed
from .hidden import Hidden
from .settings import Settings


class Globals:
    """The globals, class attributes and default arguments of the plugin modules that a run uses, as they are now.

    Args:
        settings: of the run.
    """

    def __init__(self, settings: Settings) -> None:
        entries = (
            METHODS.lookup(settings.method.name),
            LOSSES.lookup(settings.loss.name),
            BACKBONES.lookup(settings.model.backbone),
            SAMPLERS.lookup(settings.data.sampler),
            SAMPLERS.lookup(settings.data.target_sampler),
        )
        defined = [definition(entry) for entry in entries]
        classes = [base for one in defined for base in getattr(one, "__mro__", (one,))]  # a joined method has several
        self._modules = sorted({str(one.__module__) for one in classes})
        self._before = self._now()

    def require_unchanged(self) -> None:
        """Refuses a plugin whose next run in this process would be made from what this one has left.

        Raises:
            UserError: a global, a class attribute or a default argument has changed.
        """
        if key := changed(self._before, self._now()):
            raise UserError(
                f"{key[1]} changes when a run is made, so that the next run of the same process would start from it: "
                "make it a buffer of a module that method_state() returns, or use functools.cache for constants"
            )

    def _now(self) -> dict[tuple[str, str], str]:
        hidden = Hidden()
        for module in self._modules:
            hidden.walk_module(module)
        return hidden.found
