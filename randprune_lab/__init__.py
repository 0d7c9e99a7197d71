"""randprune_lab: a laboratory for randomized pruning masks. Draw many, judge them early, keep the best."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from randprune_lab.errors import RandpruneError
from randprune_lab.masks.mask_set import MaskSet
from randprune_lab.masks.rules import GumbelTopK, Magnitude, Rule, Uniform, Voting, make_rule
from randprune_lab.masks.sampler import MaskSampler

if TYPE_CHECKING:
    from randprune_lab.analysis.record import RunRecord
    from randprune_lab.models import load_model
    from randprune_lab.search.config import RunConfig
    from randprune_lab.search.run import run
    from randprune_lab.structured import block_scores, draw_n_of_m, spread_blocks
    from randprune_lab.tasks import load_splits

__version__ = "0.1.0"

_LATER = {  # what trains or reads data is imported when it is first used
    "RunConfig": "randprune_lab.search.config",
    "RunRecord": "randprune_lab.analysis.record",
    "block_scores": "randprune_lab.structured",
    "draw_n_of_m": "randprune_lab.structured",
    "load_model": "randprune_lab.models",
    "load_splits": "randprune_lab.tasks",
    "run": "randprune_lab.search.run",
    "spread_blocks": "randprune_lab.structured",
}

__all__ = [
    "GumbelTopK",
    "Magnitude",
    "MaskSampler",
    "MaskSet",
    "RandpruneError",
    "Rule",
    "RunConfig",
    "RunRecord",
    "Uniform",
    "Voting",
    "block_scores",
    "draw_n_of_m",
    "load_model",
    "load_splits",
    "make_rule",
    "run",
    "spread_blocks",
]


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(import_module(_LATER[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
