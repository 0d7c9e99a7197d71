"""randprune_lab: a laboratory for randomized pruning masks. Draw many, judge them early, keep the best."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from randprune_lab.errors import RandpruneError
from randprune_lab.masks.mask_set import MaskSet
from randprune_lab.masks.rules import GumbelTopK, Magnitude, Rule, Uniform, Voting, make_rule
from randprune_lab.masks.sampler import MaskSampler

if TYPE_CHECKING:
    from randprune_lab.analysis.record import RunRecord
    from randprune_lab.export import export_run
    from randprune_lab.interop.sparse_file import load_sparse, save_sparse
    from randprune_lab.interop.torch_prune import (
        from_parametrize,
        from_torch_prune,
        make_permanent,
        mask_from_zeros,
        to_parametrize,
        to_torch_prune,
    )
    from randprune_lab.interop.trainer import MaskCallback
    from randprune_lab.models import load_model
    from randprune_lab.search.config import RunConfig
    from randprune_lab.search.run import run
    from randprune_lab.structured import block_scores, draw_n_of_m, spread_blocks
    from randprune_lab.tasks import load_splits

__version__ = "0.1.0"

_LATER = {  # what trains or reads data is imported when it is first used
    "MaskCallback": "randprune_lab.interop.trainer",
    "RunConfig": "randprune_lab.search.config",
    "RunRecord": "randprune_lab.analysis.record",
    "block_scores": "randprune_lab.structured",
    "draw_n_of_m": "randprune_lab.structured",
    "export_run": "randprune_lab.export",
    "from_parametrize": "randprune_lab.interop.torch_prune",
    "from_torch_prune": "randprune_lab.interop.torch_prune",
    "load_model": "randprune_lab.models",
    "load_sparse": "randprune_lab.interop.sparse_file",
    "load_splits": "randprune_lab.tasks",
    "make_permanent": "randprune_lab.interop.torch_prune",
    "mask_from_zeros": "randprune_lab.interop.torch_prune",
    "run": "randprune_lab.search.run",
    "save_sparse": "randprune_lab.interop.sparse_file",
    "spread_blocks": "randprune_lab.structured",
    "to_parametrize": "randprune_lab.interop.torch_prune",
    "to_torch_prune": "randprune_lab.interop.torch_prune",
}

__all__ = [
    "GumbelTopK",
    "Magnitude",
    "MaskCallback",
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
    "export_run",
    "from_parametrize",
    "from_torch_prune",
    "load_model",
    "load_sparse",
    "load_splits",
    "make_permanent",
    "make_rule",
    "mask_from_zeros",
    "run",
    "save_sparse",
    "spread_blocks",
    "to_parametrize",
    "to_torch_prune",
]


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(import_module(_LATER[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
