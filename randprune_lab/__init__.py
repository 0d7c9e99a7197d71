"""randprune_lab: a laboratory for randomized pruning masks. Draw many, judge them early, keep the best."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from randprune_lab.errors import RandpruneError

if TYPE_CHECKING:
    from randprune_lab.analysis import RunRecord
    from randprune_lab.callbacks import GradualPruning, MaskCallback
    from randprune_lab.criteria import Criterion, make_criterion, scores
    from randprune_lab.export import export_run
    from randprune_lab.interop import (
        from_parametrize,
        from_torch_prune,
        load_sparse,
        make_permanent,
        mask_from_zeros,
        save_sparse,
        to_parametrize,
        to_torch_prune,
    )
    from randprune_lab.masks import (
        Allocation,
        GumbelTopK,
        Magnitude,
        MaskSampler,
        MaskSet,
        Rule,
        Uniform,
        Voting,
        check_rule,
        make_rule,
    )
    from randprune_lab.masks.choice import scope
    from randprune_lab.models import load_fast, load_model
    from randprune_lab.plugins import load_plugin
    from randprune_lab.probe import evolve_allocation, sensitivity
    from randprune_lab.search import MaskSearch, RunConfig
    from randprune_lab.search.run import run
    from randprune_lab.sparse import fast, shrink
    from randprune_lab.tasks import load_splits

__version__ = "0.1.0"

_LATER = {  # imported when it is first used: PyTorch alone takes seconds, in which the command must answer Ctrl-C
    "Allocation": "randprune_lab.masks",
    "Criterion": "randprune_lab.criteria",
    "GradualPruning": "randprune_lab.callbacks",
    "GumbelTopK": "randprune_lab.masks",
    "Magnitude": "randprune_lab.masks",
    "MaskCallback": "randprune_lab.callbacks",
    "MaskSampler": "randprune_lab.masks",
    "MaskSearch": "randprune_lab.search",
    "MaskSet": "randprune_lab.masks",
    "Rule": "randprune_lab.masks",
    "RunConfig": "randprune_lab.search",
    "RunRecord": "randprune_lab.analysis",
    "Uniform": "randprune_lab.masks",
    "Voting": "randprune_lab.masks",
    "check_rule": "randprune_lab.masks",
    "evolve_allocation": "randprune_lab.probe",
    "export_run": "randprune_lab.export",
    "fast": "randprune_lab.sparse",
    "from_parametrize": "randprune_lab.interop",
    "from_torch_prune": "randprune_lab.interop",
    "load_fast": "randprune_lab.models",
    "load_model": "randprune_lab.models",
    "load_plugin": "randprune_lab.plugins",
    "load_sparse": "randprune_lab.interop",
    "load_splits": "randprune_lab.tasks",
    "make_criterion": "randprune_lab.criteria",
    "make_permanent": "randprune_lab.interop",
    "make_rule": "randprune_lab.masks",
    "mask_from_zeros": "randprune_lab.interop",
    "run": "randprune_lab.search.run",
    "save_sparse": "randprune_lab.interop",
    "scope": "randprune_lab.masks.choice",
    "scores": "randprune_lab.criteria",
    "sensitivity": "randprune_lab.probe",
    "shrink": "randprune_lab.sparse",
    "to_parametrize": "randprune_lab.interop",
    "to_torch_prune": "randprune_lab.interop",
}

__all__ = [
    "Allocation",
    "Criterion",
    "GradualPruning",
    "GumbelTopK",
    "Magnitude",
    "MaskCallback",
    "MaskSampler",
    "MaskSearch",
    "MaskSet",
    "RandpruneError",
    "Rule",
    "RunConfig",
    "RunRecord",
    "Uniform",
    "Voting",
    "check_rule",
    "evolve_allocation",
    "export_run",
    "fast",
    "from_parametrize",
    "from_torch_prune",
    "load_fast",
    "load_model",
    "load_plugin",
    "load_sparse",
    "load_splits",
    "make_criterion",
    "make_permanent",
    "make_rule",
    "mask_from_zeros",
    "run",
    "save_sparse",
    "scope",
    "scores",
    "sensitivity",
    "shrink",
    "to_parametrize",
    "to_torch_prune",
]


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(import_module(_LATER[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
