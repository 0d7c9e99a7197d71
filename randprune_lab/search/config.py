"""Settings of a whole search. The command line and the notebooks take their options from here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import partial
from typing import Any, Literal, get_args

from randprune_lab.errors import ConfigError, check_count, check_range, unknown_name
from randprune_lab.masks.rules import RULES, Magnitude, Rule, Uniform, make_rule
from randprune_lab.masks.scope import GROUPINGS, Grouping
from randprune_lab.search.drawing import Drawing, LearnedAllocation, LearnedWeights
from randprune_lab.search.selection import Score
from randprune_lab.search.strategies import STRATEGIES, Screened, Strategy, make_strategy
from randprune_lab.tasks.mini_glue import GENERATORS, MiniGlue
from randprune_lab.tasks.own_data import LabelKind, OwnData
from randprune_lab.training.activations import CALIBRATION, activation_scores
from randprune_lab.training.config import Distillation, TrainingConfig
from randprune_lab.training.data import Encoded

Criterion = Literal["magnitude", "activation"]
Learn = Literal["nothing", "allocation", "weights"]
Protocol = Literal["held-out", "published"]

EXECUTORS = ("in-process", "dask")

OWN_DATA = ("data", "report_data", "text_columns", "label_column", "label_kind")
"""The settings that describe data of one's own."""
GENERATED = ("difficulty", "label_noise", "data_seed")
"""The settings that describe generated data."""
DENSE = (
    *("task", "glue_dir", *OWN_DATA, *GENERATED, "max_length", "train_size", "selection_size", "report_size"),
    *("model", "layers", "dense_epochs", "dense_learning_rate", "batch_size", "evaluate_every", "seed"),
)
"""The settings that the data and the dense model depend on."""

PRESETS: dict[str, dict[str, Any]] = {
    # For `tiny`, whose weights begin at random: higher rates, more epochs before pruning. Its attention has a 36th of
    # the weights of BERT-base's, matrix by matrix: at 36 times the ratio, votes are over as many samples as there.
    "lesson": {
        "task": "mini-sst2",
        "model": "tiny",
        "train_size": 1280,
        "selection_size": 400,
        "sampling_ratios": (1.8e-3, 3.6e-3, 2.9e-3, 1.1e-2),
        "dense_epochs": 12,
        "dense_learning_rate": 1e-3,
        "learning_rate": 5e-4,
        "early_rate": 2.0,
        "early_last": 2,
        "evaluate_every": 20,
    },
}
"""Settings that go together, by name: a beginning, on which single settings can be put."""


def _option(default: Any, help: str) -> Any:
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True)
class RunConfig:
    """Everything that decides the result of a run, and nothing else."""

    task: str = _option("rotten_tomatoes", "what is learned; `randprune tasks` lists them")
    glue_dir: str | None = _option(None, "folder with GLUE's TSV files; without it GLUE tasks come from the hub")
    data: str | None = _option(
        None, "data of one's own instead of a task: a CSV, TSV, JSONL or Parquet file, or a folder saved by datasets"
    )
    report_data: str | None = _option(None, "its report set, likewise; without it, held out of the data")
    text_columns: tuple[str, ...] = _option(("text",), "the columns of its texts, one or two")
    label_column: str = _option("label", "the column of its labels")
    label_kind: LabelKind = _option("class", "class: the labels are classes; score: they are numbers (regression)")
    difficulty: int = _option(1, "of mini-GLUE: how hard the sentences are, 0 to 2")
    label_noise: float = _option(0.0, "of mini-GLUE: share of the train labels that are wrong")
    data_seed: int = _option(0, "of mini-GLUE: seed of the generated rows")
    max_length: int | None = _option(None, "tokens of an input, the rest is cut off; without it, the task's length")
    train_size: int | None = _option(None, "use only so many training examples; of mini-GLUE any number can be had")
    selection_size: int | None = _option(None, "use only so many examples of the selection split")
    report_size: int | None = _option(None, "use only so many examples of each report set")
    model: str = _option("minilm", "what is pruned: `randprune models`, a hub id or a local folder")
    layers: int | None = _option(None, "keep only the model's first layers")
    include: tuple[str, ...] = _option(
        (), "patterns of the weights to prune, such as '*.attention.*.weight'; without it, every matrix in the blocks"
    )
    exclude: tuple[str, ...] = _option((), "patterns of weights to leave dense after all")
    levels: tuple[float, ...] = _option((0.54, 0.83, 0.92, 0.9375), "sparsities, pruned to one after the other")
    rule: str = _option("voting", "mask rule of the candidates: voting, gumbel, uniform, magnitude")
    criterion: Criterion = _option(
        "magnitude", "what rules go by: magnitude, or activation (magnitude times the norm of what it is multiplied by)"
    )
    sampling_ratios: tuple[float, ...] = _option(
        (5e-5, 1e-4, 8e-5, 3e-4), "sampling ratios of the voting rule; candidates take them in turn"
    )
    power: float = _option(5.0, "power of the voting rule")
    temperature: float = _option(0.2, "temperature of the gumbel rule")
    group: Grouping = _option("tensor", "what is pruned to the same sparsity: tensor, global, erk")
    candidates: int = _option(8, "masks drawn and evaluated early at each level")
    screen: int | None = _option(None, "draw so many masks, and let the best untrained ones be the candidates")
    early_strategy: str = _option("published", "how candidates are evaluated early: published, halving, race")
    early_score: Score = _option("metric", "what a candidate is judged by: metric (the task's) or log-loss")
    early_budget: float = _option(1 / 3, "of halving: steps to spend, as a share of those of all candidates")
    race_error_rate: float = _option(0.05, "of race: chance that the best candidate is dropped on the way")
    learn: Learn = _option(
        "nothing", "what candidates learn from those before: nothing, allocation (of weights to tensors), weights"
    )
    generations: int = _option(1, "the candidates come in so many generations, each of which may learn")
    learn_rate: float = _option(0.5, "how much of what a generation taught replaces what was held before, 0 to 1")
    allocation_spread: float = _option(0.5, "of learning the allocation: spread of its log-odds at the beginning")
    noise_seeds: int = _option(
        0, "train the first masks of a level early again with so many other seeds, to split a score into mask and seed"
    )
    early_epochs: int = _option(1, "epochs of an early evaluation")
    early_rate: float = _option(4.0, "learning rate of an early evaluation, as a multiple of the normal one")
    early_last: int = _option(10, "an early score is the mean of so many last evaluations")
    evaluate_every: int = _option(50, "training steps between two evaluations")
    baselines: tuple[str, ...] = _option(("imp", "uniform"), "also prune by these, with one mask a level: imp, uniform")
    dense_epochs: int = _option(2, "epochs of the dense fine-tuning before any pruning")
    dense_learning_rate: float = _option(1e-4, "its learning rate")
    epochs: int = _option(2, "epochs of training at each level, with the chosen mask (published: 10)")
    learning_rate: float = _option(5e-5, "its learning rate")
    batch_size: int = _option(32, "examples a step (published: 64)")
    distill_labels: float = _option(0.0, "weight of the true labels in the loss of a pruned model")
    distill_logits: float = _option(1.0, "weight of the dense model's softened answers in it")
    distill_attention: float = _option(0.0, "weight of its attention maps in it")
    distill_hidden: float = _option(0.0, "weight of its hidden states in it")
    distill_temperature: float = _option(1.0, "temperature that softens the dense model's answers")
    protocol: Protocol = _option(
        "held-out", "held-out: the report split is looked at once, at the end; published: it also selects"
    )
    seed: int = _option(0, "seed of masks, batches, dropout and the classification head")

    def __post_init__(self) -> None:
        if not self.levels:
            raise ConfigError("levels must name at least one sparsity")
        for level in self.levels:
            check_range("sparsity", level, low=0, high=1, high_open=True)
        if list(self.levels) != sorted(set(self.levels)):
            raise ConfigError(f"levels must rise, got {' '.join(f'{level:g}' for level in self.levels)}")
        for name in ("include", "exclude"):
            _check_patterns(name, getattr(self, name))
        if self.rule not in RULES:
            raise unknown_name("rule", self.rule, RULES)
        if self.group not in GROUPINGS:
            raise ConfigError(f"group must be one of {', '.join(GROUPINGS)}, got {self.group!r}")
        if self.criterion not in get_args(Criterion):
            raise ConfigError(f"criterion must be one of {', '.join(get_args(Criterion))}, got {self.criterion!r}")
        if self.protocol not in ("held-out", "published"):
            raise ConfigError(f"protocol must be held-out or published, got {self.protocol!r}")
        if self.early_strategy not in STRATEGIES or self.early_strategy == Screened.name:
            raise unknown_name("early_strategy", self.early_strategy, [n for n in STRATEGIES if n != Screened.name])
        if self.screen is not None:
            check_count("screen", self.screen)
            if self.screen < self.candidates:
                raise ConfigError(f"screen must be at least {self.candidates}, the candidates, got {self.screen}")
        if not self.sampling_ratios:
            raise ConfigError("sampling_ratios must name at least one ratio")
        self._check_learning()
        for name in ("candidates", "early_last", "max_length", "train_size", "selection_size", "report_size", "layers"):
            if getattr(self, name) is not None:
                check_count(name, getattr(self, name))
        check_range("early_rate", self.early_rate, low=0, low_open=True)
        check_count("seed", self.seed, low=0)
        check_range("seed", self.seed, low=0, high=2**62)
        self._check_data()
        (
            self.methods(),
            self.dense_training(),
            self.early_training(0),
            self.level_training(0),
        )  # check the rest

    def _check_learning(self) -> None:
        if self.learn not in get_args(Learn):
            raise ConfigError(f"learn must be one of {', '.join(get_args(Learn))}, got {self.learn!r}")
        if self.learn == "allocation" and self.group != "tensor":
            raise ConfigError(f"what learns the allocation sets it itself; leave group out, got {self.group!r}")
        check_count("generations", self.generations)
        check_count("noise_seeds", self.noise_seeds, low=0)
        if self.noise_seeds == 1:
            raise ConfigError(
                "noise_seeds must be 0, or at least 2: the seeds of one mask are compared with each other"
            )
        check_range("learn_rate", self.learn_rate, low=0, high=1)
        check_range("allocation_spread", self.allocation_spread, low=0)
        for name in ("candidates", "screen"):
            if (size := getattr(self, name)) is not None and size % self.generations:
                raise ConfigError(f"{name} must be a multiple of the {self.generations} generations, got {size}")

    def _check_data(self) -> None:
        """Data of one's own exclude what belongs to a task, and the other way round."""
        excluded: tuple[str, ...] = ("task", "glue_dir")
        if self.data is None:
            excluded = OWN_DATA[1:]
        defaults = {field.name: field.default for field in fields(self)}
        for name in excluded:
            value = getattr(self, name)
            if value != defaults[name] and self.data is None:
                raise ConfigError(f"{name} {value!r} describes data of one's own; give data too, or leave {name} out")
            if value != defaults[name]:
                raise ConfigError(f"{name} {value!r} and data {self.data!r} exclude each other; leave one of them out")
        for name in GENERATED if self.task not in GENERATORS else ():
            if (value := getattr(self, name)) != defaults[name]:
                raise ConfigError(f"{name} {value!r} is for the tasks of mini-GLUE; leave it out, or choose one")
        _ = self.own_data, self.mini_glue, self.strategy()  # check the rest

    @property
    def mini_glue(self) -> MiniGlue | None:
        """The rows to generate, where the task is one of mini-GLUE."""
        if self.task not in GENERATORS:
            return None
        sizes = {"train": self.train_size, "selection": self.selection_size}
        given = {role: size for role, size in sizes.items() if size is not None}
        return MiniGlue(self.task, self.difficulty, self.label_noise, self.data_seed, **given)

    @property
    def own_data(self) -> OwnData | None:
        """The data of one's own that take the place of a task."""
        if self.data is None:
            return None
        return OwnData(self.data, self.text_columns, self.label_column, self.label_kind, self.report_data)

    @property
    def scope(self) -> dict[str, Any]:
        """Which weights are pruned, as `prunable` takes it."""
        return {"include": self.include or None, "exclude": self.exclude}

    @property
    def distillation(self) -> Distillation:
        return Distillation(
            self.distill_labels,
            self.distill_logits,
            self.distill_attention,
            self.distill_hidden,
            self.distill_temperature,
        )

    def methods(self) -> list[Method]:
        """The randomized search and its baselines."""
        settings: dict[str, list[dict[str, float]]] = {
            "voting": [{"sampling_ratio": ratio, "power": self.power} for ratio in self.sampling_ratios],
            "gumbel": [{"temperature": self.temperature}],
        }
        rules = tuple(make_rule(self.rule, **setting) for setting in settings.get(self.rule, [{}]))
        known = {"imp": Magnitude(), "uniform": Uniform()}
        for name in self.baselines:
            if name not in known:
                raise unknown_name("baseline", name, known)
        if len(set(self.baselines)) < len(self.baselines):
            raise ConfigError(f"baselines must differ, got {' '.join(self.baselines)}")
        return [
            Method("randomized", rules, self.screen or self.candidates),
            *(Method(name, (known[name],), 1) for name in self.baselines),
        ]

    def strategy(self) -> Strategy:
        """How the candidates of a generation are judged."""
        own: dict[str, dict[str, Any]] = {
            "halving": {"budget": self.early_budget},
            "race": {"error_rate": self.race_error_rate},
        }
        settings = {"score": self.early_score, "last": self.early_last, **own.get(self.early_strategy, {})}
        strategy = make_strategy(self.early_strategy, **settings)
        return Screened(keep=self.candidates // self.generations, then=strategy) if self.screen else strategy

    def drawing(self, method: Method, level: int, seed: int, train: Encoded | None = None) -> Drawing:
        """Where the masks of a method at a level come from; the levels count from 1.

        Args:
            train: what is trained on; only criterion activation needs it.
        """
        group, size = self.group, max(1, method.candidates // self.generations)
        made: Callable[..., Drawing] = Drawing
        if method.candidates > 1 and self.learn == "allocation":
            made = partial(LearnedAllocation, spread=self.allocation_spread)
        elif method.candidates > 1 and self.learn == "weights":
            made = LearnedWeights
        scores = None
        if self.criterion == "activation":
            if train is None:
                raise ConfigError("criterion activation needs the train split, to run the model on")
            scores = partial(activation_scores, data=train.first(CALIBRATION), **self.scope)
        settings: dict[str, Any] = {"rate": self.learn_rate, "scores": scores, **self.scope}
        return made(method.rules, self.levels[level - 1], seed, group, size, **settings)

    def dense_training(self) -> TrainingConfig:
        return self._training(
            epochs=self.dense_epochs, learning_rate=self.dense_learning_rate, keep_best=True, seed=self.seed
        )

    def early_training(self, seed: int) -> TrainingConfig:
        rate = self.learning_rate * self.early_rate
        return self._training(epochs=self.early_epochs, learning_rate=rate, seed=seed, distillation=self.distillation)

    def level_training(self, seed: int) -> TrainingConfig:
        return self._training(
            epochs=self.epochs,
            learning_rate=self.learning_rate,
            keep_best=True,
            seed=seed,
            distillation=self.distillation,
        )

    def _training(self, **settings: Any) -> TrainingConfig:
        """What all trainings of a run have in common, and `settings`."""
        return TrainingConfig(batch_size=self.batch_size, evaluate_every=self.evaluate_every, **settings)

    @classmethod
    def preset(cls, name: str, **settings: Any) -> RunConfig:
        """The settings of a preset, and `settings` on top of them; raises `UnknownNameError` if there is none.

        >>> RunConfig.preset("lesson", task="mini-mnli").model
        'tiny'
        """
        if name not in PRESETS:
            raise unknown_name("preset", name, PRESETS)
        return cls(**PRESETS[name] | settings)

    def to_dict(self) -> dict[str, Any]:
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> RunConfig:
        settings: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in values.items()
        }
        return cls(**settings)


def _check_patterns(name: str, patterns: Sequence[str]) -> None:
    if isinstance(patterns, str) or not all(isinstance(pattern, str) and pattern for pattern in patterns):
        raise ConfigError(f"{name} must be a tuple of patterns such as ('*.query.weight',), got {patterns!r}")


@dataclass(frozen=True)
class Method:
    """A way to find the mask of a level: candidates that take `rules` in turn; one candidate needs no selection."""

    name: str
    rules: tuple[Rule, ...]
    candidates: int

    def rule(self, candidate: int) -> Rule:
        return self.rules[candidate % len(self.rules)]
