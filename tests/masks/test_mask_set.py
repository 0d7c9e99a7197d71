"""MaskSet: a mapping, compared with other mask sets, applied to models, and written to files that detect damage."""

from __future__ import annotations

import copy
import operator
import os
import pickle
import tracemalloc
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file
from torch import Tensor, nn

from randprune_lab.errors import FileError, MaskError, RandpruneError
from randprune_lab.masks.mask_set import MaskSet
from randprune_lab.masks.rules import Voting
from randprune_lab.masks.sampler import MaskSampler

law = settings(max_examples=80)

SHAPES = {"layer.weight": (3, 5), "odd": (13,), "scalar": (), "empty": (0, 3), "cube": (2, 2, 2)}


def random_masks(seed: int, density: float = 0.5, shapes: Mapping[str, tuple[int, ...]] = SHAPES) -> MaskSet:
    rng = np.random.default_rng(seed)
    return MaskSet({name: torch.from_numpy(np.asarray(rng.random(shape) < density)) for name, shape in shapes.items()})


mask_sets = st.builds(random_masks, st.integers(0, 2**32), st.sampled_from([0.0, 0.1, 0.5, 1.0]))
any_shapes = st.dictionaries(
    st.text(max_size=8).filter(lambda name: name != "__metadata__"),
    st.lists(st.integers(0, 5), max_size=3).map(tuple),
    max_size=4,
)


def two_layers() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 4))


def weight_masks(model: nn.Module, sparsity: float = 0.75) -> MaskSet:
    return MaskSampler(model, Voting(sampling_ratio=0.05), sparsity, include=["*.weight"]).draw(0)


# --- a mapping ---


def test_it_reads_like_a_dict() -> None:
    masks = {"b": torch.tensor([True, False]), "a": torch.tensor([[True]])}
    mask_set = MaskSet(masks)
    assert isinstance(mask_set, Mapping)
    assert list(mask_set) == list(mask_set.keys()) == ["b", "a"] and len(mask_set) == 2
    assert mask_set["b"] is masks["b"] and "a" in mask_set and "c" not in mask_set
    assert dict(mask_set).keys() == masks.keys() and mask_set.get("c") is None
    with pytest.raises(KeyError):
        mask_set["c"]
    masks["c"] = torch.tensor([True])
    assert "c" not in mask_set
    with pytest.raises(TypeError):
        mask_set["c"] = masks["c"]  # type: ignore[index]


@given(masks=mask_sets)
@law
def test_size_kept_and_sparsity_count_the_weights(masks: MaskSet) -> None:
    bits = torch.cat([mask.flatten() for mask in masks.values()])
    assert masks.size == len(bits) == 15 + 13 + 1 + 0 + 8
    assert masks.kept == int(bits.sum())
    assert masks.sparsity == pytest.approx(1 - float(bits.double().mean()))
    assert f"{masks.kept:,} of {masks.size:,} kept" in repr(masks)


def test_an_empty_mask_set_has_sparsity_zero() -> None:
    for nothing in (MaskSet({}), MaskSet({"empty": torch.zeros(0, dtype=torch.bool)})):
        assert nothing.size == nothing.kept == 0 and nothing.sparsity == 0.0
        assert nothing.hamming(nothing) == 0 and nothing.jaccard(nothing) == 1.0


@pytest.mark.parametrize("wrong", [torch.ones(2), torch.ones(2, dtype=torch.uint8), np.ones(2, dtype=bool), [True]])
def test_masks_are_bool_tensors(wrong: object) -> None:
    with pytest.raises(MaskError, match="mask of 'w' must be a bool tensor"):
        MaskSet({"v": torch.tensor([True]), "w": wrong})  # type: ignore[dict-item]


@pytest.mark.parametrize("wrong", [None, "w", 3, [torch.tensor([True])], torch.tensor([True]), torch.nn.Linear(2, 2)])
def test_masks_are_a_dict(wrong: object) -> None:
    with pytest.raises(MaskError, match="masks must be a dict of bool tensors by parameter name, got a"):
        MaskSet(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [None, 3, b"w", ("w",)])
def test_masks_have_names(wrong: object) -> None:
    with pytest.raises(MaskError, match="masks must have parameter names, got"):
        MaskSet({wrong: torch.tensor([True])})  # type: ignore[dict-item]


def test_to_a_device_moves_every_mask_and_changes_none() -> None:
    masks = random_masks(0)
    assert all(mask.device.type == "meta" for mask in masks.to("meta").values())
    assert masks.to("cpu") == masks


@given(masks=mask_sets)
@law
def test_a_table_has_a_row_for_each_tensor_and_one_for_their_sum(masks: MaskSet) -> None:
    *rows, total = masks.table()
    assert [row.name for row in rows] == list(masks)
    for row in rows:
        alone = MaskSet({row.name: masks[row.name]})
        assert row[1:] == (masks[row.name].shape, alone.size, alone.kept, alone.sparsity)
    assert total == ("total", (), masks.size, masks.kept, masks.sparsity)


def test_a_table_is_shown_as_text_and_as_html() -> None:
    long, masks = "encoder.layer.0." * 6 + "<weight>", torch.ones(2000, 3, dtype=torch.bool)
    table = MaskSet({long: masks, "v": masks[:1, :1] & False}).table()
    head, first, second, total = repr(table).splitlines()
    assert head.split() == ["name", "shape", "size", "kept", "sparsity"]
    assert first.split() == [long, "2000×3", "6,000", "6,000", "0.0000%"]
    assert second.split() == ["v", "1×1", "1", "0", "100.0000%"]
    assert total.split() == ["total", "6,001", "6,000", "0.0167%"]
    assert len({len(line) for line in (head, first, second, total)}) == 1
    rows = [[cell.text or "" for cell in row] for row in ElementTree.fromstring(table._repr_html_()).iter("tr")]
    assert rows == [head.split(), first.split(), second.split(), ["total", "", *total.split()[1:]]]


# --- compared with others ---


@given(a=mask_sets, b=mask_sets, c=mask_sets)
@law
def test_hamming_is_a_metric_and_counts_differing_weights(a: MaskSet, b: MaskSet, c: MaskSet) -> None:
    assert a.hamming(b) == sum(int((a[name] != b[name]).sum()) for name in a)
    assert a.hamming(b) == b.hamming(a)
    assert (a.hamming(b) == 0) == (a == b)
    assert a.hamming(c) <= a.hamming(b) + b.hamming(c)


@given(a=mask_sets, b=mask_sets)
@law
def test_jaccard_is_the_intersection_over_the_union_of_the_kept_weights(a: MaskSet, b: MaskSet) -> None:
    kept_a, kept_b = ({(n, i) for n in m for i in m[n].flatten().nonzero().flatten().tolist()} for m in (a, b))
    expected = len(kept_a & kept_b) / len(kept_a | kept_b) if kept_a | kept_b else 1.0
    assert a.jaccard(b) == b.jaccard(a) == pytest.approx(expected)
    assert a.jaccard(a) == 1.0
    # Two expressions of the same overlap: |a xor b| = |a or b| (1 - jaccard).
    assert a.hamming(b) == pytest.approx(len(kept_a | kept_b) * (1 - a.jaccard(b)))


@given(a=mask_sets, b=mask_sets)
@law
def test_masks_combine_like_sets_of_kept_weights(a: MaskSet, b: MaskSet) -> None:
    for name, mask in a.items():
        assert (a & b)[name].tolist() == np.logical_and(mask.numpy(), b[name].numpy()).tolist()
        assert (a | b)[name].tolist() == np.logical_or(mask.numpy(), b[name].numpy()).tolist()
        assert (~a)[name].tolist() == np.logical_not(mask.numpy()).tolist()
    assert a & dict(b) == a & b and list(a & b) == list(a)


def test_disjoint_masks_have_the_largest_distance() -> None:
    a = random_masks(0)
    b = MaskSet({name: ~mask for name, mask in a.items()})
    assert a.hamming(b) == a.size and a.jaccard(b) == 0.0


def test_masks_are_compared_by_name_not_by_order() -> None:
    a = random_masks(0)
    b = MaskSet(dict(reversed(list(a.items()))))
    assert a == b and a.hamming(b) == 0 and a.jaccard(b) == 1.0 and a.sha256 == b.sha256


two_masks = pytest.mark.parametrize("compare", [MaskSet.hamming, MaskSet.jaccard, operator.and_, operator.or_])


@two_masks
def test_masks_of_other_names_or_shapes_cannot_be_compared(compare: Callable[[Any, Any], Any]) -> None:
    a = random_masks(0)
    fewer = MaskSet({name: mask for name, mask in a.items() if name != "odd"})
    reshaped = MaskSet({**a, "odd": a["odd"][:, None]})
    for left, right, name in [(a, fewer, "odd"), (fewer, a, "odd"), (a, reshaped, "odd"), (reshaped, a, "odd")]:
        with pytest.raises(MaskError, match=f"'{name}'"):
            compare(left, right)


@two_masks
@pytest.mark.parametrize("other", [None, True, torch.tensor([True]), [torch.tensor([True])], {"odd": [True]}])
def test_masks_combine_with_masks_alone(compare: Callable[[Any, Any], Any], other: Any) -> None:
    with pytest.raises(MaskError, match=r"masks must be a dict of bool tensors|mask of 'odd' must be a bool tensor"):
        compare(random_masks(0), other)


@given(a=mask_sets, b=mask_sets)
@law
def test_fingerprints_are_equal_exactly_if_masks_are(a: MaskSet, b: MaskSet) -> None:
    assert (a.sha256 == b.sha256) == (a == b)
    assert MaskSet({name: mask.clone() for name, mask in a.items()}).sha256 == a.sha256


def test_fingerprints_depend_on_names_shapes_and_every_bit() -> None:
    a = random_masks(0)
    others = [
        MaskSet({("other" if name == "odd" else name): mask for name, mask in a.items()}),
        MaskSet({**a, "odd": a["odd"][:, None]}),
        MaskSet({**a, "layer.weight": a["layer.weight"].reshape(5, 3)}),
        MaskSet({**a, "more": torch.zeros(0, dtype=torch.bool)}),
        MaskSet({name: mask for name, mask in a.items() if name != "empty"}),
        MaskSet({**a, "odd": torch.cat([a["odd"], torch.tensor([False])])}),
    ]
    for name, shape in SHAPES.items():
        for place in range(torch.Size(shape).numel()):
            flipped = a[name].flatten().clone()
            flipped[place] ^= True
            others.append(MaskSet({**a, name: flipped.view(shape)}))
    assert len({masks.sha256 for masks in [a, *others]}) == 1 + len(others)
    assert all(masks != a for masks in others)


def test_a_mask_set_is_not_equal_to_other_things() -> None:
    assert random_masks(0) != dict(random_masks(0))
    with pytest.raises(TypeError):
        hash(random_masks(0))


# --- applied to models ---


def test_apply_sets_exactly_the_removed_weights_to_zero() -> None:
    model = two_layers()
    before = copy.deepcopy(model.state_dict())
    masks = weight_masks(model)
    masks.apply_(model)
    for name, parameter in model.state_dict().items():
        expected = before[name] * masks[name] if name in masks else before[name]
        assert torch.equal(parameter, expected)
        assert torch.equal(parameter != 0, masks[name] if name in masks else before[name] != 0)
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())


def test_apply_removes_nan_too() -> None:
    model = nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[float("nan"), 2.0]]))
    MaskSet({"weight": torch.tensor([[False, True]])}).apply_(model)
    assert model.weight.tolist() == [[0.0, 2.0]]


def test_apply_reaches_tied_weights_under_either_name() -> None:
    for name in ("0.weight", "1.weight"):
        model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
        model[1].weight = model[0].weight
        MaskSet({name: torch.tensor([[True, False], [False, True]])}).apply_(model)
        assert bool((model[0].weight != 0).eq(torch.eye(2) > 0).all())


@pytest.mark.parametrize("method", ["apply_", "enforcer"])
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"3.weight": torch.zeros(2, dtype=torch.bool)}, r"mask of '3\.weight' has no counterpart in Sequential"),
        (
            {"2.weight": torch.zeros(16, 4, dtype=torch.bool)},
            r"mask of '2\.weight' has shape \(16, 4\), but in Sequential the shape is \(4, 16\)",
        ),
        ({"2.bias": torch.zeros((), dtype=torch.bool)}, r"mask of '2\.bias' has shape \(\)"),
    ],
)
def test_masks_that_do_not_match_are_named_and_leave_the_model_unchanged(
    method: str, wrong: dict[str, Tensor], message: str
) -> None:
    model = two_layers()
    before = copy.deepcopy(model.state_dict())
    matching = {"0.weight": torch.zeros(16, 8, dtype=torch.bool)}
    for masks in (MaskSet({**matching, **wrong}), MaskSet({**wrong, **matching})):
        with pytest.raises(MaskError, match=message):
            getattr(masks, method)(model)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_a_weight_whose_entries_share_memory_is_refused_and_nothing_changes() -> None:
    """PyTorch would remove all entries of a column for one."""
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(0, 3))
    model[1].weight = nn.Parameter(torch.ones(1, 4).expand(4, 4))
    before = copy.deepcopy(model.state_dict())
    masks = MaskSet({f"{number}.weight": torch.eye(4, dtype=torch.bool) for number in range(2)})
    with pytest.raises(MaskError, match=r"'1\.weight' of Sequential was expanded, .*; give it memory of its own first"):
        masks.apply_(model)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    model[1].weight = nn.Parameter(model[1].weight.detach().clone())
    MaskSet(dict(masks) | {"2.weight": torch.ones(3, 0, dtype=torch.bool)}).apply_(model)
    assert torch.equal(model[1].weight, torch.eye(4))


def test_weights_made_in_inference_mode_are_refused_outside_of_it() -> None:
    with torch.inference_mode():
        model = two_layers()
        masks = weight_masks(model)
    with pytest.raises(MaskError, match=r"'0\.weight' of Sequential was made in torch\.inference_mode, .*; clone the"):
        masks.apply_(model)
    masks.apply_(copied := copy.deepcopy(model))
    assert not any(bool(copied.get_parameter(name)[~kept].any()) for name, kept in masks.items())
    with torch.inference_mode():
        masks.apply_(model)


def test_the_enforcer_holds_against_momentum() -> None:
    model = two_layers()
    masks = weight_masks(model)
    enforce = masks.enforcer(model)
    enforce()
    start = copy.deepcopy(model.state_dict())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    generator = torch.Generator().manual_seed(0)
    revived = 0
    for _ in range(5):
        inputs, targets = torch.randn(32, 8, generator=generator), torch.randn(32, 4, generator=generator)
        optimizer.zero_grad()
        nn.functional.mse_loss(model(inputs), targets).backward()
        optimizer.step()
        revived += sum(int((model.get_parameter(name)[~mask] != 0).sum()) for name, mask in masks.items())
        enforce()
        for name, mask in masks.items():
            assert torch.equal(model.get_parameter(name) != 0, mask)
    assert revived > 0  # so the optimizer did change removed weights
    for name, parameter in model.named_parameters():
        moved = (parameter != start[name])[masks.get(name, ...)]
        assert moved.double().mean() > 0.5  # so the kept weights were trained


def loaded_by_assignment(model: nn.Module) -> None:
    model.load_state_dict({name: torch.ones_like(weight) for name, weight in model.state_dict().items()}, assign=True)


def converted(model: nn.Module) -> None:
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    try:
        model.double()
    finally:
        torch.__future__.set_overwrite_module_params_on_conversion(False)


def with_another_layer(model: nn.Module) -> None:
    model[0] = nn.Linear(8, 16)


def with_another_parameter(model: nn.Module) -> None:
    model[2].weight = nn.Parameter(torch.ones(4, 16))


@pytest.mark.parametrize(
    "replace",
    [loaded_by_assignment, converted, with_another_layer, with_another_parameter],
    ids=lambda each: each.__name__,
)
def test_the_enforcer_masks_the_parameters_that_the_model_has_now(replace: Callable[[nn.Module], None]) -> None:
    model = two_layers()
    masks = weight_masks(model)
    enforce = masks.enforcer(model)
    replace(model)
    for parameter in model.parameters():
        nn.init.ones_(parameter)
    enforce()
    assert all(torch.equal(model.get_parameter(name), mask.to(model[0].weight)) for name, mask in masks.items())


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))])
def test_a_copied_enforcer_masks_the_copied_model(copied: Callable[[Any], Any]) -> None:
    model = two_layers()
    masks = weight_masks(model)
    other, enforce = copied((model, masks.enforcer(model)))
    for parameter in (*model.parameters(), *other.parameters()):
        nn.init.ones_(parameter)
    enforce()
    assert all(torch.equal(other.get_parameter(name), mask.float()) for name, mask in masks.items())
    assert all(bool((model.get_parameter(name) == 1).all()) for name in masks)


def without_a_layer(model: nn.Module) -> None:
    model[2] = nn.Tanh()


def with_a_wrapped_layer(model: nn.Module) -> None:
    model[2] = nn.Sequential(model[2])


def with_a_wider_layer(model: nn.Module) -> None:
    model[2] = nn.Linear(16, 5)


def without_values(model: nn.Module) -> None:
    model[2].to_empty(device="meta")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without_a_layer, r"Sequential has no parameter '2\.weight' any more"),
        (with_a_wrapped_layer, r"Sequential has no parameter '2\.weight' any more"),
        (with_a_wider_layer, r"'2\.weight' of Sequential has shape \(5, 16\) now, and its mask \(4, 16\)"),
        (without_values, r"'2\.weight' of Sequential is on the meta device"),
    ],
)
def test_what_can_no_longer_be_masked_is_named_and_nothing_is_changed(
    change: Callable[[nn.Module], None], message: str
) -> None:
    model = two_layers()
    enforce = weight_masks(model).enforcer(model)
    change(model)
    nn.init.ones_(model[0].weight)
    with pytest.raises(MaskError, match=message):
        enforce()
    assert bool((model[0].weight == 1).all())


@pytest.mark.parametrize("offload", ["cpu_offload", "disk_offload"])
def test_offloaded_weights_cannot_be_masked(offload: str, tmp_path: Path) -> None:
    import accelerate

    model = two_layers()
    masks = weight_masks(model)
    enforce = masks.enforcer(model)
    place = {"offload_dir": str(tmp_path)} if offload == "disk_offload" else {}
    getattr(accelerate, offload)(model, execution_device=torch.device("cpu"), **place)
    for attempt in (enforce, lambda: masks.apply_(model), lambda: masks.enforcer(model)):
        with pytest.raises(MaskError, match=r"'0\.weight' of Sequential is on the meta device"):
            attempt()


# --- files ---


@given(shapes=any_shapes, seed=st.integers(0, 2**32))
@settings(max_examples=60)
def test_names_shapes_and_bits_survive_a_file(
    tmp_path_factory: pytest.TempPathFactory, shapes: dict[str, tuple[int, ...]], seed: int
) -> None:
    path = tmp_path_factory.mktemp("masks") / "mask.safetensors"
    masks = random_masks(seed, shapes=shapes)
    masks.save(path)
    loaded = MaskSet.load(str(path))
    assert loaded == masks and loaded.sha256 == masks.sha256
    assert set(loaded) == set(shapes)
    assert all(tuple(loaded[name].shape) == shape for name, shape in shapes.items())


def test_the_order_of_names_survives_a_file(tmp_path: Path) -> None:
    masks = random_masks(0)
    masks.save(tmp_path / "mask")
    assert list(MaskSet.load(tmp_path / "mask")) == list(masks)


def test_a_file_takes_at_most_one_bit_per_weight_and_a_header(tmp_path: Path) -> None:
    random_masks(0, shapes={"w": (1000, 800)}).save(tmp_path / "mask")
    assert 100_000 <= (tmp_path / "mask").stat().st_size < 101_000


def test_saving_makes_folders_replaces_files_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "mask"
    for seed in (0, 1):
        random_masks(seed).save(path)
    assert MaskSet.load(path) == random_masks(1)
    assert os.listdir(path.parent) == ["mask"]  # noqa: PTH208


def check_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(FileError) as caught:
        MaskSet.load(path)
    assert str(path) in str(caught.value)


def small_file(path: Path) -> bytes:
    random_masks(0, shapes={"a": (3, 5), "b": (2,)}).save(path)
    return path.read_bytes()


def test_a_truncated_or_extended_file_is_refused(tmp_path: Path) -> None:
    content = small_file(tmp_path / "mask")
    for end in range(len(content)):
        check_refused(tmp_path / "cut", content[:end])
    for more in (b"\0", b"more"):
        check_refused(tmp_path / "grown", content + more)


def test_a_file_with_a_changed_byte_is_refused_or_has_the_same_masks(tmp_path: Path) -> None:
    """In each byte, a bit is changed, all bits are inverted, or a character with a meaning in the header is written."""
    content = small_file(tmp_path / "mask")
    masks, path = MaskSet.load(tmp_path / "mask"), tmp_path / "changed"
    path.write_bytes(content)
    refused = 0
    for place, byte in enumerate(content):
        for changed in {byte ^ 1, byte ^ 0xFF, *b"\t-.I{"} - {byte}:
            with path.open("r+b") as file:  # much faster than a new file
                file.write(content[:place] + bytes([changed]) + content[place + 1 :])
            try:
                loaded = MaskSet.load(path)
            except FileError as error:
                assert str(path) in str(error)
                refused += 1
            else:
                assert loaded == masks  # one white space was replaced by another
    assert refused > 5 * len(content)


def test_masks_that_were_replaced_within_a_file_are_refused(tmp_path: Path) -> None:
    from safetensors import safe_open

    small_file(tmp_path / "mask")
    masks = MaskSet.load(tmp_path / "mask")
    MaskSet({name: ~mask for name, mask in masks.items()}).save(tmp_path / "inverse")
    with safe_open(str(tmp_path / "mask"), framework="numpy") as file:
        metadata = file.metadata()
    save_file(load_file(tmp_path / "inverse"), tmp_path / "mask", metadata)
    with pytest.raises(FileError, match="damaged: its masks do not match its SHA-256"):
        MaskSet.load(tmp_path / "mask")


def test_another_safetensors_file_is_refused_by_its_format(tmp_path: Path) -> None:
    for metadata in (None, {"format": "pt"}):
        save_file({"w": np.ones(3)}, tmp_path / "weights", metadata)
        with pytest.raises(
            FileError, match=r"weights is not a mask file: its format is .*, expected 'randprune-mask-set-2'"
        ):
            MaskSet.load(tmp_path / "weights")


@pytest.mark.parametrize("content", [b"", b"not a mask", b"\0" * 100, b"{}"])
def test_a_file_that_is_not_safetensors_is_refused(tmp_path: Path, content: bytes) -> None:
    check_refused(tmp_path / "junk", content)


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"there is no mask file at .*gone"):
        MaskSet.load(tmp_path / "gone")
    with pytest.raises(FileError, match=tmp_path.name):
        MaskSet.load(tmp_path)


def test_targets_that_cannot_be_written_are_named_and_nothing_is_lost(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    (tmp_path / "folder").mkdir()
    targets = [
        tmp_path / "file" / "mask",
        tmp_path / "file" / "deep" / "mask",
        tmp_path / "folder",
        tmp_path / ("m" * 300),
    ]
    for target in targets:
        with pytest.raises(FileError) as caught:
            random_masks(0).save(target)
        assert str(target) in str(caught.value)
        assert isinstance(caught.value, RandpruneError) and isinstance(caught.value, OSError)
    assert (tmp_path / "file").read_text() == "kept"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


def test_a_failed_save_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    random_masks(0).save(tmp_path / "mask")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("safetensors.numpy.save_file", full)
    with pytest.raises(FileError, match="No space left on device"):
        random_masks(1).save(tmp_path / "mask")
    assert MaskSet.load(tmp_path / "mask") == random_masks(0)
    assert [path.name for path in tmp_path.iterdir()] == ["mask"]


def code(*numbers: int) -> np.ndarray:
    return np.frombuffer(zlib.compress(bytes(numbers), 9), np.uint8)


def write_by_hand(path: Path, shapes: str, arrays: Mapping[str, np.ndarray], **metadata: str | None) -> None:
    every = {"format": "randprune-mask-set-2", "shapes": shapes, "sha256": "0" * 64} | metadata
    save_file(dict(arrays), path, {name: text for name, text in every.items() if text is not None})


FOUR = {"w": code(0, 0, 0, 0)}


@pytest.mark.parametrize(
    ("shapes", "arrays"),
    [
        ("[]", FOUR),
        ("null", FOUR),
        ("", FOUR),
        ('{"w": 4}', FOUR),
        ('{"w": "4"}', FOUR),
        ('{"w": [4.0]}', FOUR),
        ('{"w": [NaN]}', FOUR),
        ('{"w": [true, 4]}', FOUR),
        ('{"w": [-2, -2]}', FOUR),
        ('{"w": [4], "w": [4]}', FOUR),
        ('{"w": [4], "v": [4]}', FOUR),
        ('{"w": [4]}', {**FOUR, "v": FOUR["w"]}),
        ("[" * 5000, FOUR),
        (f'{{"w": [4{", 1" * 70}]}}', FOUR),
        (f'{{"w": [0, {10**30}]}}', {"w": code()}),
        ('{"w": [4]}', {"w": FOUR["w"][None]}),
        ('{"w": [4]}', {"w": FOUR["w"].astype(np.int64)}),
        ('{"w": [4]}', {"w": FOUR["w"][:-1]}),
        ('{"w": [4]}', {"w": np.append(FOUR["w"], np.uint8(0))}),
        ('{"w": [4]}', {"w": code(0, 0, 0, 0, 0)}),
        ('{"w": [4]}', {"w": code(4)}),
        ('{"w": [259]}', {"w": code(0, 0, 0, 0)}),
    ],
)
def test_a_header_or_code_of_another_kind_is_refused_in_one_line(
    tmp_path: Path, shapes: str, arrays: dict[str, np.ndarray]
) -> None:
    write_by_hand(tmp_path / "mask", shapes, arrays)
    with pytest.raises(FileError, match=r"mask is damaged or truncated \(.*\); write it again") as caught:
        MaskSet.load(tmp_path / "mask")
    assert "\n" not in str(caught.value)


def test_the_header_has_all_fields_and_no_others(tmp_path: Path) -> None:
    for other in ({"more": "1"}, {"sha256": None}):
        write_by_hand(tmp_path / "mask", '{"w": [4]}', FOUR, **other)
        with pytest.raises(FileError, match="it lacks, or should not have"):
            MaskSet.load(tmp_path / "mask")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"sha256":', '"shapes":"{}","sha256":'),
        ('"dtype":"U8"', '"dtype":"BF16"'),
        ('"dtype":"U8"', '"dtype":"F4"'),
        ('"__metadata__":{', '"__metadata__":5,"_":{'),
        ('"__metadata__":{', '"__metadata__":{"more":5,'),
        ('"__metadata__":{', '"__metadata__":{},"__metadata__":{'),
    ],
)
def test_a_header_that_only_safetensors_reads_is_refused(tmp_path: Path, old: str, new: str) -> None:
    write_by_hand(tmp_path / "mask", '{"w": [4]}', FOUR)
    content = (tmp_path / "mask").read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    header = content[8:end].decode()
    assert old in header
    header = header.replace(old, new)
    (tmp_path / "mask").write_bytes(len(header).to_bytes(8, "little") + header.encode() + content[end:])
    with pytest.raises(FileError, match=r"mask is damaged or truncated \(.*\); write it again"):
        MaskSet.load(tmp_path / "mask")


@pytest.mark.parametrize("size", [4, 2**20, 2**24, 2**34, 10**40])
def test_a_small_file_takes_little_memory_whatever_it_claims(tmp_path: Path, size: int) -> None:
    """16 MiB of zeros, each a kept weight, take 16 kB; a mask of them is never as small."""
    write_by_hand(tmp_path / "mask", f'{{"w": [{size}]}}', {"w": code(*bytes(2**24))})
    tracemalloc.start()
    with pytest.raises(FileError, match="is damaged or truncated"):
        MaskSet.load(tmp_path / "mask")
    assert tracemalloc.get_traced_memory()[1] < 2**23
    tracemalloc.stop()


@pytest.mark.parametrize("last", [None, 0, 254, 255, 256, 99_999])
def test_masks_with_long_gaps_survive_a_file(tmp_path: Path, last: int | None) -> None:
    mask = torch.zeros(100_000, dtype=torch.bool)
    mask[[] if last is None else [last]] = True
    MaskSet({"w": mask}).save(tmp_path / "mask")
    assert MaskSet.load(tmp_path / "mask") == MaskSet({"w": mask})


def test_a_mask_is_saved_as_the_same_bytes_every_time(tmp_path: Path) -> None:
    contents = set()
    for _ in range(8):
        random_masks(0).save(tmp_path / "mask")
        contents.add((tmp_path / "mask").read_bytes())
    assert len(contents) == 1


@pytest.mark.parametrize("sparsity", [0.54, 0.9375, 0.99, 0.9999])
def test_a_saved_mask_is_within_2_percent_of_its_entropy(sparsity: float, tmp_path: Path) -> None:
    """The entropy is N H(sparsity) bits; 2 kB more are for the header and the tables of the code."""
    n = 1_000_000
    mask = MaskSet({"w": torch.from_numpy(np.random.default_rng(0).random(n) >= sparsity)})
    mask.save(tmp_path / "mask")
    entropy = -sum(p * np.log2(p) for p in (mask.sparsity, 1 - mask.sparsity) if p > 0)
    assert (tmp_path / "mask").stat().st_size * 8 <= 1.02 * n * entropy + 8 * 2048
    assert MaskSet.load(tmp_path / "mask") == mask
