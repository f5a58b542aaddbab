"""Weights from outside: small floats are read; whatever a file holds, tensors or one line."""

from __future__ import annotations

import io
import json
import os
import struct
import tarfile
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save, save_file

from wsvis.backbones.networks import build_backbone
from wsvis.backbones.weights import load_backbone_weights
from wsvis.errors import MAX_LINE, InputError
from wsvis.low_precision import widened
from wsvis.payload import from_bytes
from wsvis.weights_input import MAX_BYTES, fill_network, read_payload, read_tensors, size_of_network

ABSENT = "is not there"


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [
        ("BF16", torch.bfloat16),
        ("F8_E4M3", torch.float8_e4m3fn),
        ("F8_E5M2", torch.float8_e5m2),
    ],
)
def test_every_number_of_the_small_types_is_torchs(kind, dtype):
    bits = 16 if kind == "BF16" else 8
    codes = np.arange(1 << bits, dtype=f"<u{bits // 8}")
    content = codes.tobytes()
    expected = torch.frombuffer(bytearray(content), dtype=dtype).float().numpy()
    found = widened(kind, content)
    assert found is not None
    np.testing.assert_array_equal(found, expected)
    shape = (4, len(codes) // 4)
    tensor = torch.frombuffer(bytearray(content), dtype=dtype).reshape(shape)
    np.testing.assert_array_equal(
        from_bytes(save({"a": tensor})).arrays["a"], expected.reshape(shape)
    )


def test_a_backbone_in_half_precision_is_read(tmp_path):
    backbone, other = build_backbone("small"), build_backbone("small")
    halved = {
        k: v.bfloat16() if v.is_floating_point() else v for k, v in backbone.state_dict().items()
    }
    save_file(halved, str(tmp_path / "a.safetensors"))
    torch.save({"epoch": 3, "state_dict": halved}, tmp_path / "a.pth.tar")
    for name in ("a.safetensors", "a.pth.tar"):
        load_backbone_weights(other, str(tmp_path / name))
        for key, tensor in halved.items():
            torch.testing.assert_close(
                other.state_dict()[key], tensor.to(other.state_dict()[key].dtype)
            )


def header_of(**tensors) -> bytes:
    text = json.dumps(tensors).encode()
    return struct.pack("<Q", len(text)) + text


def zipped(**parts) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in parts.items():
            archive.writestr(f"archive/{name.replace('_', '.')}", content)
    return file.getvalue()


def tarred() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name in ("pickle", "storages", "tensors"):
            archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    return file.getvalue()


def saved(content) -> bytes:
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


NO_WEIGHTS = {
    "empty.pth": b"",
    "text.pth": b"hello world" * 50,
    "ustar.pth": b"ustar" * 300,
    "real.pth.tar": tarred(),
    "cut.pth": zipped(data_pkl=b"\x80\x02}q", version=b"3\n"),
    "half.pth": saved({"a": torch.zeros(100)})[:-300],
    "number.pth": saved(7),
    "no_tensor.pth": saved({"state_dict": {"a": 1}}),
    "old_cut.pth": b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}q",
    "quarter.safetensors": header_of(a={"dtype": "F4", "shape": [2], "data_offsets": [0, 1]})
    + b"0",
    "scaled.safetensors": header_of(a={"dtype": "F8_E8M0", "shape": [1], "data_offsets": [0, 1]})
    + b"0",
    "beyond.safetensors": header_of(a={"dtype": "F32", "shape": [1], "data_offsets": [0, 400]}),
    "header.safetensors": struct.pack("<Q", 1 << 62) + b"{}",
    "deep.safetensors": header_of(__metadata__={"data": "[" * 100_000}),
    "digits.safetensors": header_of(__metadata__={"data": "9" * 5000}),
    "list.safetensors": header_of(__metadata__={"data": "[1]"}),
    "short.safetensors": b"1234",
    "array.safetensors": struct.pack("<Q", 2) + b"[]",
}


@pytest.mark.parametrize("name", NO_WEIGHTS)
def test_what_holds_no_weights_is_one_line(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(NO_WEIGHTS[name])
    with pytest.raises(InputError) as caught:
        read_tensors(path, ABSENT)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert ";" in message
    assert len(message) <= MAX_LINE


def test_no_size_is_believed_before_it_is_checked(tmp_path):
    with open(tmp_path / "sparse.safetensors", "wb") as file:
        file.truncate(MAX_BYTES + 1)  # no block of it is on the disk
    with pytest.raises(InputError, match="is larger than 512 MiB"):
        read_payload(tmp_path / "sparse.safetensors", ABSENT)
    with zipfile.ZipFile(tmp_path / "packed.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("archive/data.pkl", "w") as part:
            for _ in range(MAX_BYTES >> 24):
                part.write(bytes(1 << 24))
        archive.writestr("archive/version", b"3\n")
    with pytest.raises(InputError, match="holds more than 512 MiB"):
        read_tensors(tmp_path / "packed.pth", ABSENT)
    for value in (True, 0, 1 << 40, "9", 10**400, None):
        with pytest.raises(ValueError, match="not a whole number from 1 to"):
            size_of_network({"classes": value}, "classes")


def test_only_regular_files_are_weights(tmp_path):
    os.mkfifo(tmp_path / "pipe.pth")
    os.mkfifo(tmp_path / "pipe.safetensors")
    for path in (tmp_path / "pipe.pth", tmp_path / "pipe.safetensors", "/dev/zero"):
        with pytest.raises(InputError, match="no regular file"):
            read_tensors(path, ABSENT)
    with pytest.raises(InputError, match="is a folder"):
        read_tensors(tmp_path, ABSENT)
    with pytest.raises(InputError, match="is not there"):
        read_tensors(tmp_path / "none.pth", ABSENT)


@pytest.mark.parametrize(
    "tensor",
    [
        torch.tensor([1.0, torch.nan]),
        torch.tensor([torch.inf, 1.0]),
        torch.tensor([1j, 2]),
        torch.zeros(2).to_sparse(),
        torch.zeros(2, device="meta"),
    ],
)
def test_weights_are_plain_finite_numbers(tensor):
    network = torch.nn.Linear(1, 2)
    before = network.bias.clone()
    with pytest.raises(InputError, match="bias"):
        fill_network(network, {"weight": torch.ones(2, 1), "bias": tensor}, "a.pth")
    assert torch.equal(before, network.bias)
