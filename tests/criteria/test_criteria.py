"""Each criterion equals its definition, computed in another way, and leaves the model as it was."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader

import randprune_lab as rp
from randprune_lab.criteria import (
    CRITERIA,
    Criterion,
    Custom,
    Fisher,
    Movement,
    Record,
    Ria,
    make_criterion,
    model_loss,
    recorded_criterion,
    scores,
)
from randprune_lab.errors import ConfigError, UnknownNameError, WeightError
from randprune_lab.masks.recipe import Recipe
from randprune_lab.masks.scope import prunable

BUILT_IN = [name for name in CRITERIA if name != Custom.name]
WITH_BATCHES = [name for name in BUILT_IN if name != "magnitude"]
WITH_GRADIENTS = [name for name in WITH_BATCHES if CRITERIA[name].backward]


@pytest.fixture(autouse=True)
def registry_as_before() -> Iterator[None]:
    before = dict(CRITERIA)
    yield
    CRITERIA._classes.clear()
    CRITERIA._classes.update(before)


class Net(nn.Module):
    """Blocks of two linear layers with dropout, and a norm with a state; in float64."""

    def __init__(self, seed: int = 0, width: int = 6):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            blocks = [nn.Sequential(nn.Linear(width, 8), nn.Tanh(), nn.Dropout(0.5), nn.Linear(8, width))] * 1
            self.blocks = nn.ModuleList([*blocks, copy.deepcopy(blocks[0])])
            self.norm, self.head = nn.BatchNorm1d(width), nn.Linear(width, 3)
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = x + block(x)
        return self.head(self.norm(x))


def batches(count: int = 4, size: int = 5, width: int = 6) -> list[dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    return [
        {
            "x": torch.randn(size, width, generator=generator, dtype=torch.float64),
            "labels": torch.randint(3, (size,), generator=generator),
        }
        for _ in range(count)
    ]


def cross_entropy(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    return F.cross_entropy(model(batch["x"]), batch["labels"])


def gradients(model: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """By PyTorch's functions, in evaluation mode."""
    model = copy.deepcopy(model).eval()
    known = {name: weight.detach() for name, weight in model.named_parameters()}

    def value(weights: dict[str, Tensor]) -> Tensor:
        return F.cross_entropy(torch.func.functional_call(model, weights, (batch["x"],)), batch["labels"])

    return torch.func.grad(value)(known)


def close(found: dict[str, Tensor], expected: dict[str, Tensor], **tolerances: float) -> None:
    assert found.keys() == expected.keys()
    for name, each in found.items():
        torch.testing.assert_close(each, expected[name], **tolerances)


# --- what each criterion is ---


def test_taylor_is_the_first_order_change_of_the_loss_by_finite_differences():
    model, step = Net().eval(), 1e-4
    found, expected = scores(model, "taylor", batches(), cross_entropy), {}
    for name, weight in prunable(model).items():
        changes = torch.zeros_like(weight)
        for batch in batches():
            for i in range(weight.numel()):
                around = []
                for sign in (1, -1):
                    moved = weight.detach().clone()
                    moved.view(-1)[i] *= 1 + sign * step
                    weights = {**dict(model.named_parameters()), name: moved}
                    with torch.no_grad():
                        logits = torch.func.functional_call(model, weights, (batch["x"],))
                    around.append(F.cross_entropy(logits, batch["labels"]))
                changes.view(-1)[i] += abs(around[0] - around[1]) / (2 * step)
        expected[name] = changes.detach()
    close(found, expected, rtol=1e-5, atol=1e-10)


def test_fisher_is_the_squared_weight_times_the_mean_squared_gradient():
    model = Net()
    rows = [{name: values[i : i + 1] for name, values in batch.items()} for batch in batches() for i in range(5)]
    for criterion, parts in ((Fisher(), batches()), (Fisher(per="example"), rows)):
        found = [gradients(model, part) for part in parts]
        mean = {name: sum(each[name].square() for each in found) / len(parts) for name in prunable(model)}
        expected = {name: weight.detach().square() * mean[name] for name, weight in prunable(model).items()}
        close(scores(model, criterion, batches(), cross_entropy), expected)


def test_examples_share_what_a_batch_has_once_for_all_of_them():
    """As the positions of GPT-2; other numbers of rows are an error."""
    model = Net()

    def loss(model, batch):
        assert batch["temperature"] == 2 and len(batch["scale"]) == 1
        return cross_entropy(model, {"x": batch["x"] * batch["scale"], "labels": batch["labels"]})

    shared = {"scale": torch.ones(1, 1), "temperature": torch.tensor(2)}
    found = scores(model, Fisher(per="example"), [shared | batch for batch in batches()], loss)
    close(found, scores(model, Fisher(per="example"), batches(), cross_entropy))
    broken = [{"scale": torch.ones(2, 1)} | batch for batch in batches()]
    with pytest.raises(ConfigError, match="a row for each example, got rows scale: 2, x: 5, labels: 5"):
        scores(model, Fisher(per="example"), broken, loss)
    with pytest.raises(ConfigError, match="got rows none in a str; use per='batch'"):
        scores(model, Fisher(per="example"), ["text"], loss)


class Pair(NamedTuple):
    """A batch as some data sets give them."""

    x: Tensor
    y: Tensor


@pytest.mark.parametrize("pair", [lambda x, y: (x, y), lambda x, y: [x, y], lambda x, y: ({"x": x}, y), Pair])
def test_examples_may_be_in_tuples_and_lists(pair):
    def loss(model, batch):
        x, y = batch
        return cross_entropy(model, {"x": x["x"] if isinstance(x, dict) else x, "labels": y})

    pairs = [pair(batch["x"], batch["labels"]) for batch in batches()]
    found = scores(Net(), Fisher(per="example"), pairs, loss)
    close(found, scores(Net(), Fisher(per="example"), batches(), cross_entropy))


def test_sequences_of_several_lengths_may_be_packed():
    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.LSTM(3, 4)

        def forward(self, x):
            return self.layers(x)[1][0]

    def loss(model, batch):
        return model(batch[0]).sum()

    model, movement = Recurrent(), rp.make_criterion("movement")
    texts = [torch.randn(length, 3) for length in (5, 2)]
    together, *alone = [[nn.utils.rnn.pack_sequence(part)] for part in (texts, texts[:1], texts[1:])]
    close(scores(model, movement, [together], loss), scores(model, movement, alone, loss))


@pytest.mark.parametrize("criterion", ["taylor", "fisher"])
def test_a_batch_that_misses_an_expert_adds_nothing_to_its_scores(criterion):
    model = Net()
    first, second = batches()[:2]
    model.blocks.append(nn.Linear(3, 3).double())

    def loss(model, batch):
        hidden = model.blocks[0](batch["x"])
        return hidden.square().sum() + (model.blocks[2].weight.square().sum() if batch["expert"] else 0)

    used, unused = second | {"expert": True}, first | {"expert": False}
    found = scores(model, criterion, [unused, used], loss, include=["blocks.2.weight"])
    alone = scores(model, criterion, [used], loss, include=["blocks.2.weight"])
    share = {"taylor": 1, "fisher": 2}[criterion]
    close({name: share * score for name, score in found.items()}, alone)


def test_movement_is_minus_the_sum_of_weight_times_gradient_over_ten_recorded_steps():
    model, expected = Net(), {}
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    with Record(Movement(), prunable(model)) as record:
        for batch in batches(10):
            cross_entropy(model, batch).backward()
            for name, weight in prunable(model).items():
                expected[name] = expected.get(name, 0) - weight.detach() * weight.grad
            nn.utils.clip_grad_norm_(model.parameters(), 1e-3)
            optimizer.step()
            optimizer.zero_grad()
    cross_entropy(model, batches()[0]).backward()  # after the end, nothing is recorded
    close(record.scores, expected)
    assert min(score.min() for score in expected.values()) < 0 < max(score.max() for score in expected.values())


def test_movement_without_a_training_is_that_of_the_batches_at_the_weights_as_they_are():
    model = Net()
    found = [gradients(model, batch) for batch in batches()]
    expected = {name: -weight.detach() * sum(each[name] for each in found) for name, weight in prunable(model).items()}
    close(scores(model, "movement", batches(), cross_entropy), expected)


def first_inputs() -> Tensor:
    return torch.cat([batch["x"] for batch in batches()])


def test_wanda_within_rows_keeps_the_largest_products_with_the_norms_of_the_inputs():
    model = Net()
    weight, norms = model.blocks[0][0].weight.detach(), first_inputs().norm(dim=0)
    found = scores(model, "wanda", batches(), cross_entropy, include=["blocks.0.0.weight"])["blocks.0.0.weight"]
    torch.testing.assert_close(found, weight.abs() * norms)
    rows, given = ({str(i): row for i, row in enumerate(each)} for each in (weight, found))
    mask = rp.MaskSampler(rows, rp.Magnitude(), 0.5, scores=given).draw(0)
    kept = torch.zeros_like(weight, dtype=torch.bool).scatter(1, (weight.abs() * norms).topk(3, dim=1).indices, True)
    assert torch.equal(torch.stack([mask[str(i)] for i in range(8)]), kept)


@pytest.mark.parametrize("power", [0.0, 0.5, 2.0])
def test_ria_is_the_relative_importance_times_a_power_of_the_norm(power):
    model = Net()
    size, norms = model.blocks[0][0].weight.detach().abs(), first_inputs().norm(dim=0)
    expected = torch.empty_like(size)
    for i in range(8):
        for j in range(6):
            expected[i, j] = (size[i, j] / size[i].sum() + size[i, j] / size[:, j].sum()) * norms[j] ** power
    found = scores(model, Ria(power=power), batches(), cross_entropy)["blocks.0.0.weight"]
    torch.testing.assert_close(found, expected)


def test_custom_scores_are_those_that_are_given_or_computed():
    model, seen = Net(), []

    def computed(model: nn.Module, batches: list) -> dict[str, Tensor]:
        seen.append((model.training, len(batches)))
        return {name: weight.detach().abs() for name, weight in model.named_parameters()}

    close(scores(model, Custom(computed), batches(), cross_entropy), scores(model, "magnitude"))
    assert seen == [(False, 4)] and model.training
    close(
        scores(model, Custom(scores(model, "taylor", batches(), cross_entropy))),
        scores(model, "taylor", batches(), cross_entropy),
    )
    assert Custom(computed, signed=True).to_dict() == {"criterion": "custom", "signed": True}
    for wrong in (None, {}, "fisher"):
        with pytest.raises(ConfigError, match=r"criterion 'custom' needs a dict of tensors, or a function"):
            Custom(wrong)
    with pytest.raises(ConfigError, match="must return a dict of tensors, got a float"):
        scores(model, Custom(lambda model, batches: 1.0))


# --- what all have in common ---


@pytest.mark.parametrize("criterion", BUILT_IN)
@pytest.mark.parametrize("allocation", ["layerwise", "global"])
def test_without_randomness_the_mask_is_the_deterministic_one(criterion, allocation):
    model = Net()
    given = {"scores": scores(model, criterion, batches(), cross_entropy), "signed": CRITERIA[criterion].signed}
    plain, random = (
        rp.MaskSampler(model, rule, 0.7, allocation=allocation, **given).draw(3)
        for rule in (rp.Magnitude(), rp.GumbelTopK(temperature=1e-7))
    )
    assert plain == random != rp.MaskSampler(model, rp.Uniform(), 0.7, allocation=allocation, **given).draw(3)


@pytest.mark.parametrize("criterion", BUILT_IN)
def test_the_model_is_left_as_it_was(criterion):
    """Its mode, layer by layer; gradients, frozen parameters, buffers and hooks; the global random state."""
    model = Net()
    model.blocks[1].eval()
    model.head.requires_grad_(False)
    model.norm.weight.grad = torch.ones_like(model.norm.weight)
    before, modes = copy.deepcopy(model.state_dict()), [module.training for module in model.modules()]
    random = torch.get_rng_state()
    with torch.no_grad():
        found = [scores(model, criterion, batches(), cross_entropy) for _ in range(2)]
    close(*found, rtol=0, atol=0)
    assert not any(score.requires_grad for score in found[0].values())
    assert [module.training for module in model.modules()] == modes and torch.equal(torch.get_rng_state(), random)
    assert [weight.requires_grad for weight in model.parameters()] == [True] * 10 + [False] * 2
    assert {name for name, weight in model.named_parameters() if weight.grad is not None} == {"norm.weight"}
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert not any(module._forward_pre_hooks for module in model.modules())
    assert not any(weight._backward_hooks for weight in model.parameters())


@pytest.mark.parametrize("criterion", BUILT_IN)
def test_a_model_of_transformers_gives_its_own_loss(criterion, tiny_model):
    """From any DataLoader; dicts of tensors as it gives them."""
    model, _ = rp.load_model(tiny_model, num_labels=2)
    rows = [
        {"input_ids": torch.arange(2, 8) + i, "attention_mask": torch.ones(6, dtype=int), "labels": i % 2}
        for i in range(8)
    ]
    found = scores(model, criterion, DataLoader(rows, batch_size=4))
    assert found.keys() == prunable(model).keys()
    sampler = rp.MaskSampler(model, rp.Voting(1e-2), 0.9, scores=found, signed=CRITERIA[criterion].signed)
    assert sampler.draw(0).kept == sampler.kept


def test_scores_of_half_precision_do_not_underflow():
    model = nn.ModuleList([nn.Linear(4, 4, bias=False, dtype=torch.float16), nn.Linear(4, 1)])
    model[0].weight.data.fill_(1e-3)

    def loss(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        return (model[0].weight.float() * 1e-4).sum()

    for criterion in WITH_GRADIENTS:
        (found,) = scores(model, criterion, [{}], loss, include=["0.weight"]).values()
        assert found.dtype == torch.float32 and (found != 0).all()


@pytest.mark.parametrize("criterion", BUILT_IN)
def test_a_criterion_names_its_source_and_its_cost(criterion):
    made = CRITERIA[criterion]
    assert "arXiv" in made.source or "ICLR" in made.source
    assert (made.forward, made.backward) == {"magnitude": (0, 0), "wanda": (1, 0), "ria": (1, 0)}.get(criterion, (1, 1))
    assert made.signed == (criterion == "movement") and recorded_criterion(made().to_dict()) == made()


def test_a_criterion_of_your_own_comes_back_from_a_recipe(tmp_path):
    @dataclass(frozen=True)
    class Mixed(Criterion):
        """Magnitude plus a multiple of Taylor."""

        factor: float = 1.0
        name: ClassVar[str] = "mixed"
        signed: ClassVar[bool] = True

        def scores(self, model, weights, batches=(), loss=model_loss):
            taylor = make_criterion("taylor").scores(model, weights, batches, loss)
            return {name: weight.detach().abs() - self.factor * taylor[name] for name, weight in weights.items()}

    model, mixed = Net(), Mixed(factor=2.0)
    found = scores(model, mixed, batches(), cross_entropy)
    sampler = rp.MaskSampler(model, rp.Voting(1e-2), 0.8, scores=found, signed=True)
    dataclasses.replace(sampler.recipe(5), criterion=mixed.to_dict()).save(tmp_path / "recipe.json")
    recipe = Recipe.load(tmp_path / "recipe.json")
    assert recipe.criterion == {"criterion": "mixed", "signed": True, "factor": 2.0}
    again = recorded_criterion(recipe.criterion)
    assert again == mixed
    same = scores(model, again, batches(), cross_entropy)
    assert rp.MaskSampler.from_recipe(model, recipe, same).draw(5) == sampler.draw(5)


# --- what is refused ---


@pytest.mark.parametrize("criterion", WITH_GRADIENTS)
def test_a_weight_without_a_gradient_is_named(criterion):
    model = Net()
    model.blocks[1][0].weight.requires_grad_(False)
    with pytest.raises(
        ConfigError, match=rf"criterion '{criterion}' needs the gradient of 'blocks.1.0.weight', which is frozen"
    ):
        scores(model, criterion, batches(), cross_entropy)
    model.blocks.append(nn.Linear(3, 3).double())
    model.forward = lambda x: model.head(model.blocks[0](x))
    with pytest.raises(ConfigError, match=r"of 'blocks.2.weight', but the loss of no batch depends on it; exclude it"):
        scores(model, criterion, batches(), cross_entropy, exclude=["blocks.1.*"])


def test_a_frozen_weight_cannot_be_recorded():
    model = Net().requires_grad_(False)
    with pytest.raises(ConfigError, match=r"criterion 'movement' needs the gradient of 'blocks.0.0.weight', which is"):
        Record(Movement(), prunable(model)).__enter__()


@pytest.mark.parametrize("criterion", WITH_BATCHES)
def test_batches_are_needed(criterion):
    with pytest.raises(ConfigError, match=f"criterion '{criterion}' needs batches that the model runs on, got none"):
        scores(Net(), criterion)


@pytest.mark.parametrize("criterion", WITH_GRADIENTS)
def test_a_loss_must_be_a_scalar_of_the_weights(criterion):
    for wrong in (lambda m, b: m(b["x"]), lambda m, b: 3.0, lambda m, b: torch.tensor(1.0)):
        with pytest.raises(ConfigError, match="the loss of a batch must be a scalar that depends on the weights, got"):
            scores(Net(), criterion, batches(), wrong)


@pytest.mark.parametrize(
    ("given", "loss", "message"),
    [
        (None, cross_entropy, "batches must be a list of batches, got a NoneType; give a list"),
        (3, cross_entropy, "batches must be a list of batches, got a int; give a list"),
        (torch.ones(4, 3), cross_entropy, "batches must be a list of batches, got a Tensor; give a list"),
        ([], None, "loss must be a function .model, batch. -> scalar, got None"),
    ],
)
def test_batches_and_losses_of_another_kind_are_named(given, loss, message):
    with pytest.raises(ConfigError, match=message):
        scores(Net(), "taylor", given, loss)


@pytest.mark.parametrize("returned", [None, [torch.ones(2)]])
def test_a_criterion_that_returns_no_dict_is_named(returned):
    """A sampler takes None for magnitudes."""

    @dataclass(frozen=True)
    class Forgetful(Criterion):
        name: ClassVar[str] = "forgetful"

        def scores(self, model, weights, batches=(), loss=model_loss):
            return returned

    with pytest.raises(ConfigError, match="scores of criterion 'forgetful' must return a dict of tensors, got"):
        scores(Net(), Forgetful())


def test_a_model_that_returns_no_loss_is_named(tiny_model):
    model, _ = rp.load_model(tiny_model, num_labels=2)
    with pytest.raises(
        ConfigError, match="BertForSequenceClassification returns no loss for a batch of input_ids; put"
    ):
        scores(model, "taylor", [{"input_ids": torch.arange(2, 8)[None]}])
    assert scores(model, "wanda", [{"input_ids": torch.arange(2, 8)[None]}])


@pytest.mark.parametrize("criterion", WITH_BATCHES)
def test_a_batch_that_the_model_does_not_take_is_refused_with_the_remedy(criterion):
    with pytest.raises(ConfigError, match=r"got one batch of x, labels; give a list: batches=\[batch\]"):
        scores(Net(), criterion, batches()[0], cross_entropy)
    with pytest.raises(ConfigError, match="a batch must be a dict of tensors, got a tuple; give a function: loss="):
        scores(Net(), criterion, [(batch["x"], batch["labels"]) for batch in batches()])
    with pytest.raises(ConfigError, match=r"Net does not take a batch of x, labels: got an unexpected .*; give a func"):
        scores(Net(), criterion, batches())


def test_what_is_no_criterion_is_refused():
    with pytest.raises(UnknownNameError, match="unknown criterion 'tailor'; did you mean 'taylor'"):
        scores(Net(), "tailor", batches())
    with pytest.raises(ConfigError, match="criterion must be a name or a Criterion, got 3"):
        scores(Net(), 3, batches())
    with pytest.raises(ConfigError, match="unknown per 'row'"):
        Fisher(per="row")
    with pytest.raises(ConfigError, match="power must be in"):
        Ria(power=-1)
    with pytest.raises(WeightError, match="scores lack"):
        rp.MaskSampler(Net(), rp.Magnitude(), 0.5, scores=scores(Net(), "magnitude", exclude=["blocks.0.*"]))
