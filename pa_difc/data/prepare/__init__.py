"""Makes a face store: reads, detects and crops faces once, so that training need not."""

from typing import TYPE_CHECKING

import lazy_loader  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from .run import prepare_store as prepare_store
    from .settings import PrepareSettings as PrepareSettings

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__, submod_attrs={"run": ["prepare_store"], "settings": ["PrepareSettings"]}
)
