"""Making a face store: read, detect and cut out once, so that training never does."""

from typing import TYPE_CHECKING

import lazy_loader  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from .run import prepare_store as prepare_store
    from .settings import PrepareSettings as PrepareSettings

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__, submod_attrs={"run": ["prepare_store"], "settings": ["PrepareSettings"]}
)
