"""Sparse files are small, preserve every bit, and are valid safetensors files."""

from __future__ import annotations

import json
import math
import pickle
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

import randprune_lab as rp
from randprune_lab.errors import FileError, MaskError
from randprune_lab.interop import sparse_file
from randprune_lab.masks.mask_file import encode_mask

FLOATS = [torch.float32, torch.float16, torch.bfloat16, torch.float64]


def pruned(
    size: int, sparsity: float, dtype: torch.dtype = torch.float32
) -> tuple[dict[str, torch.Tensor], rp.MaskSet]:
    """Two weights with zeros, and a bias without."""
    generator = torch.Generator().manual_seed(0)
    weights = {f"{name}.weight": torch.randn(size, 2 * size, generator=generator).to(dtype) for name in ("one", "two")}
    mask = rp.MaskSampler(weights, rp.Magnitude(), sparsity=sparsity, seed=0).draw(0)
    for name, kept in mask.items():
        weights[name].masked_fill_(~kept, 0)
    return {**weights, "one.bias": torch.randn(size, generator=generator).to(dtype)}, mask


def bits(tensor: torch.Tensor) -> bytes:
    return tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def same(actual: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> bool:
    return actual.keys() == expected.keys() and all(
        actual[name].dtype == tensor.dtype and actual[name].shape == tensor.shape and bits(actual[name]) == bits(tensor)
        for name, tensor in expected.items()
    )


def bound(mask: rp.MaskSet, dtype: torch.dtype) -> float:
    """The bytes of the masks, at their entropy, plus the bytes of the kept values."""
    entropies = 0.0
    for kept in mask.values():
        density = float(kept.double().mean())
        entropies += kept.numel() * -(density * math.log2(density) + (1 - density) * math.log2(1 - density))
    return entropies / 8 + mask.kept * dtype.itemsize


# --- size ---


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("sparsity", [0.54, 0.9375, 0.99])
def test_a_file_is_little_larger_than_its_masks_and_kept_values(tmp_path, sparsity, dtype):
    """The size includes the header, so small tensors at 99 % exceed the 15 % that hold at 93.75 %."""
    weights, mask = pruned(256, sparsity, dtype)
    masked = {name: weights[name] for name in mask}
    rp.save_sparse(masked, mask, tmp_path / "sparse.safetensors")
    size = (tmp_path / "sparse.safetensors").stat().st_size
    assert bound(mask, dtype) < size <= (1.15 if sparsity < 0.95 else 1.4) * bound(mask, dtype)
    assert size < sum(weight.nbytes for weight in masked.values())


# --- every bit ---


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("sparsity", [0.01, 0.54, 0.9375, 0.99])
def test_every_bit_and_the_mask_are_preserved(tmp_path, sparsity, dtype):
    weights, mask = pruned(40, sparsity, dtype)
    rp.save_sparse(weights, mask, tmp_path / "a" / "sparse.safetensors")
    loaded = rp.load_sparse(tmp_path / "a" / "sparse.safetensors")
    assert same(loaded.weights, weights) and loaded.mask == mask


def test_kept_zeros_infinities_and_the_bits_of_nan_are_preserved(tmp_path):
    odd = torch.tensor([0, -(2**31), 0x7FC00001, 0x7F800001, -1, 0x7F800000, 1, 0], dtype=torch.int32)
    weights = {"w": odd.view(torch.float32)}
    mask = rp.MaskSet({"w": torch.tensor([True] * 7 + [False])})
    rp.save_sparse(weights, mask, tmp_path / "odd")
    loaded = rp.load_sparse(tmp_path / "odd")
    assert torch.equal(loaded.weights["w"].view(torch.int32), odd) and loaded.mask == mask


@pytest.mark.parametrize(
    ("shape", "kept"), [((), False), ((3, 0), True), ((5,), False), ((2, 3, 4, 1), True), ((4, 4), False)], ids=str
)
def test_unusual_shapes_are_preserved(tmp_path, shape, kept):
    weights = {
        "odd": torch.full(shape, float(kept)),
        "w": torch.eye(3),
        "count": torch.tensor(7),
        "flag": torch.tensor(True),
    }
    mask = rp.MaskSet({"odd": torch.full(shape, kept), "w": torch.eye(3, dtype=torch.bool)})
    rp.save_sparse(weights, mask, tmp_path / "file")
    loaded = rp.load_sparse(tmp_path / "file")
    assert same(loaded.weights, weights) and loaded.mask == mask


def test_a_model_is_loaded_into_another(model, mask, tiny_model, tmp_path):
    mask.apply_(model)
    rp.save_sparse(torch.compile(model, backend="eager"), mask, tmp_path / "file")
    other = rp.load_model(tiny_model, num_labels=2, seed=5)[0]
    other.load_state_dict(rp.load_sparse(tmp_path / "file").weights)
    assert same(dict(other.state_dict()), dict(model.state_dict()))


def test_tied_weights_are_stored_once_and_loaded_tied(tmp_path):
    model = nn.ModuleDict({name: nn.Linear(64, 64, bias=False) for name in ("one", "two", "three", "four")})
    model["two"].weight, model["four"].weight = model["one"].weight, model["three"].weight
    mask = rp.MaskSet({"two.weight": torch.eye(64, dtype=torch.bool)})
    mask.apply_(model)
    rp.save_sparse(model, mask, tmp_path / "file")
    weights = rp.load_sparse(tmp_path / "file").weights
    assert same(weights, dict(model.state_dict()))
    assert weights["one.weight"] is weights["two.weight"] and weights["three.weight"] is weights["four.weight"]
    assert (tmp_path / "file").stat().st_size < 1.1 * 64 * 64 * 4


def test_slices_and_transposes_that_share_memory_are_stored_separately(tmp_path):
    whole = torch.arange(16.0).reshape(4, 4)
    weights = {"whole": whole, "turned": whole.T, "row": whole[1], "w": torch.eye(2)}
    rp.save_sparse(weights, rp.MaskSet({"w": torch.eye(2, dtype=torch.bool)}), tmp_path / "file")
    assert same(rp.load_sparse(tmp_path / "file").weights, weights)


# --- other readers ---


def test_a_few_lines_of_numpy_can_read_the_file(tmp_path):
    import zlib

    import numpy as np
    from safetensors.numpy import load_file

    weights, mask = pruned(30, 0.9)
    rp.save_sparse(weights, mask, tmp_path / "file")
    stored = load_file(tmp_path / "file")
    with safe_open(str(tmp_path / "file"), framework="numpy") as file:
        shapes = json.loads(file.metadata()["shapes"])
    for name, shape in shapes.items():
        code = np.frombuffer(zlib.decompress(stored[f"{name}:mask"].tobytes()), np.uint8).astype(int)
        ends = np.cumsum(code + (code < 255)) - 1  # 255: a gap that continues in the next byte
        dense = np.zeros(shape, stored[f"{name}:kept"].dtype)
        dense.reshape(-1)[ends[code < 255]] = stored[f"{name}:kept"]
        assert np.array_equal(dense, weights[name].numpy())
    assert np.array_equal(stored["one.bias"], weights["one.bias"].numpy())


# --- errors ---


def test_weights_that_would_be_lost_are_an_error_and_no_file(tmp_path):
    weights, mask = pruned(8, 0.5)
    name = next(iter(mask))
    for value in (1e-45, -0.0, float("nan")):
        weights[name][~mask[name]] = value
        with pytest.raises(
            MaskError, match=rf"64 weights of '{name}' that the mask removes are not zero.*mask\.apply_"
        ):
            rp.save_sparse(weights, mask, tmp_path / "file")
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda mask: {f"{name}x": kept for name, kept in mask.items()}, "has no counterpart in the state dict"),
        (lambda mask: {name: kept.T for name, kept in mask.items()}, r"has shape \(16, 8\), but .* \(8, 16\)"),
        (lambda mask: {name: torch.ones_like(kept) for name, kept in mask.items()}, "removes none of 256 weights"),
    ],
    ids=["name", "shape", "keeps all"],
)
def test_masks_that_do_not_fit_are_an_error(tmp_path, change, message):
    weights, mask = pruned(8, 0.5)
    with pytest.raises(MaskError, match=message):
        rp.save_sparse(weights, change(mask), tmp_path / "file")


def test_a_model_with_adapters_is_refused_until_they_are_merged(tmp_path):
    adapted = nn.Module()
    adapted.base_layer, adapted.lora_A = nn.Linear(4, 4, bias=False), nn.Linear(4, 2, bias=False)
    model = nn.ModuleDict({"blocks": nn.ModuleList([adapted])})
    mask = rp.MaskSampler(model, rp.Uniform(), 0.5).draw(0)
    mask.apply_(model)
    with pytest.raises(MaskError, match=r"'blocks\.0' in ModuleDict has an adapter; .*merge or remove"):
        rp.save_sparse(model, mask, tmp_path / "file")
    assert not [*tmp_path.iterdir()]
    model["blocks"][0] = adapted.base_layer
    rp.save_sparse(model, mask, tmp_path / "file")
    assert rp.load_sparse(tmp_path / "file").mask == mask


def test_an_entry_that_is_not_a_tensor_is_named(tmp_path):
    weights, mask = pruned(8, 0.5)
    with pytest.raises(MaskError, match=r"'extra' in the state dict must be a tensor .*got a dict"):
        rp.save_sparse({**weights, "extra": {}}, mask, tmp_path / "file")


def test_a_changed_bit_anywhere_is_an_error(tmp_path):
    """In the header, kept values, unmasked weights and masks; also a bit that leaves the file readable."""
    weights, mask = pruned(16, 0.5)
    rp.save_sparse(weights, mask, tmp_path / "file")
    content = (tmp_path / "file").read_bytes()
    header = 8 + int.from_bytes(content[:8], "little")
    shape = content.index(b"[16, 32]") + 2  # the 6 becomes a 7
    for where in (10, shape, *range(header, len(content), 97)):
        (tmp_path / "file").write_bytes(content[:where] + bytes([content[where] ^ 1]) + content[where + 1 :])
        with pytest.raises(FileError, match=r"is damaged|is not a sparse file"):
            rp.load_sparse(tmp_path / "file")


@pytest.mark.parametrize("order", [("q:mask", "w:kept", "w"), ("w", "q:mask", "w:mask:kept")])
def test_names_that_end_like_parts_are_kept_or_refused(tmp_path, order):
    """`w` is stored in parts, of which one is called `w:kept`; nothing else is called `q:mask`."""
    weights = {name: torch.eye(4) if name == "w" else torch.ones(3) for name in order}
    mask = {"w": torch.eye(4, dtype=torch.bool)}
    if "w:kept" in order:
        with pytest.raises(MaskError, match="'w:kept' is a weight's name, and in a sparse file that of a part of 'w'"):
            rp.save_sparse(weights, mask, tmp_path / "file")
    else:
        rp.save_sparse(weights, mask, tmp_path / "file")
        assert same(rp.load_sparse(tmp_path / "file").weights, weights)


def test_masked_weights_may_have_such_names(tmp_path):
    weights = {name: torch.eye(3) for name in ("q:mask", "q:kept")}
    mask = {name: torch.eye(3, dtype=torch.bool) for name in weights}
    rp.save_sparse(weights, mask, tmp_path / "file")
    assert same(rp.load_sparse(tmp_path / "file").weights, weights)


def test_names_that_would_become_one_are_refused(tmp_path):
    weights = {"w": torch.eye(2), "_orig_mod.w": torch.ones(2, 2)}
    with pytest.raises(MaskError, match="1 names in the state dict differ only by '_orig_mod'"):
        rp.save_sparse(weights, {"w": torch.eye(2, dtype=torch.bool)}, tmp_path / "file")


@pytest.mark.parametrize(
    ("odd", "message"),
    [
        (torch.ones(2, device="meta"), "is on the meta device"),
        (torch.eye(2).to_sparse(), "is stored as torch.sparse_coo"),
        (torch.ones(2, dtype=torch.complex128), "is torch.complex128, which safetensors files lack"),
        (torch.ones(2).numpy(), "got a ndarray"),
        (torch.nested.nested_tensor([torch.ones(4)]), "is a nested tensor"),
    ],
    ids=["meta", "sparse", "complex", "array", "nested"],
)
def test_tensors_that_cannot_be_stored_are_named(tmp_path, odd, message):
    weights, mask = pruned(8, 0.5)
    with pytest.raises(MaskError, match=f"'odd' in the state dict .*{message}"):
        rp.save_sparse({**weights, "odd": odd}, mask, tmp_path / "file")
    assert not [*tmp_path.iterdir()]


def test_equal_models_are_saved_as_equal_bytes(tmp_path):
    weights, mask = pruned(8, 0.5)
    contents = set()
    for _ in range(8):
        rp.save_sparse(weights, mask, tmp_path / "file")
        contents.add((tmp_path / "file").read_bytes())
    assert len(contents) == 1


def write_by_hand(path: Path, tensors: dict[str, torch.Tensor], shapes: object, tied: object) -> None:
    """With the right SHA-256, so that only the contents are wrong."""
    texts = [text if isinstance(text, str) else json.dumps(text) for text in (shapes, tied)]
    metadata = dict(zip(("shapes", "tied"), texts, strict=True))
    sha256 = sparse_file._sha256(tensors, metadata)
    save_file(tensors, path, metadata | {"format": sparse_file.FORMAT, "sha256": sha256})


PARTS = {"w:kept": torch.ones(2), "w:mask": torch.from_numpy(encode_mask(torch.eye(2, dtype=torch.bool)).copy())}


@pytest.mark.parametrize(
    ("tensors", "shapes", "tied", "message"),
    [
        ({"w:kept": torch.ones(1)}, {"w": [2, 2]}, {}, r"'w' must have a row of 2 kept values, got shape \(1,\)"),
        ({"w:kept": torch.ones(3)}, {"w": [2, 2]}, {}, r"'w' must have a row of 2 kept values, got shape \(3,\)"),
        ({"w:kept": torch.ones(1, 2)}, {"w": [2, 2]}, {}, r"got shape \(1, 2\)"),
        ({"w:mask": torch.ones(4)}, {"w": [2, 2]}, {}, "a mask must be a row of bytes, got float32"),
        ({}, {"w": [3]}, {}, r"a mask does not have its shape, \[3\]"),
        ({}, {"w": [10**12]}, {}, "a mask does not have its shape"),
        ({}, {"w": [2, 2], "v": [2]}, {}, "'v:mask'"),
        ({}, ["w"], {}, "shapes must be a mapping"),
        ({}, '{"w": [2, 2], "w": [2, 2]}', {}, "a name is given twice"),
        ({}, {"w": [2, 2]}, [], "tied must be a mapping"),
        ({}, {"w": [2, 2]}, {"v": 5}, r"tied\.v must be a text, got 5"),
        ({}, {"w": [2, 2]}, {"v": "u"}, "'u'"),
        ({}, {"w": [2, 2]}, {"w": "w"}, "'w' is both stored and tied"),
        ({"v": torch.ones(2)}, {"w": [2, 2]}, {"v": "w"}, "'v' is both stored and tied"),
    ],
)
def test_contents_that_do_not_fit_are_refused_by_name(tmp_path, tensors, shapes, tied, message):
    write_by_hand(tmp_path / "file", PARTS | tensors, shapes, tied)
    with pytest.raises(FileError, match=rf"file is damaged or truncated \(.*{message}") as caught:
        rp.load_sparse(tmp_path / "file")
    assert "\n" not in str(caught.value)


class Trap:
    """Runs code when it is unpickled."""

    def __reduce__(self):
        return Path.touch, (Path("sprung"),)


def test_other_files_are_refused_and_a_pickle_is_not_opened(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileError, match="there is no sparse file at none"):
        rp.load_sparse("none")
    save_file({"w": torch.eye(2)}, "plain.safetensors")
    with pytest.raises(
        FileError, match=r"plain\.safetensors is not a sparse file: its format is None, expected 'randprune-sparse-2'"
    ):
        rp.load_sparse("plain.safetensors")
    torch.save(Trap(), "model.pt")
    Path("model.pkl").write_bytes(pickle.dumps(Trap()))
    for name in ("model.pt", "model.pkl"):
        with pytest.raises(FileError, match="damaged"):
            rp.load_sparse(name)
        with pytest.raises(FileError, match="damaged"):
            rp.MaskSet.load(name)
    assert not Path("sprung").exists()
    pickle.loads(Path("model.pkl").read_bytes())
    assert Path("sprung").exists()  # the trap works
