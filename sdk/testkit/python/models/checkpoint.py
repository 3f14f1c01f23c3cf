"""PyTorch checkpoints (`.pth`), read without PyTorch: a pickle that may name tensors and nothing else."""

import collections
import io
import pickle
import zipfile

import numpy as np

STORAGES = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}


class _Tensors(pickle.Unpickler):
    """Knows tensors and their storages; any other class is refused."""

    def __init__(self, file):
        super().__init__(file)
        self.storages = {}

    def find_class(self, module, name):
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, offset, shape, strides, *_: (storage, offset, shape, strides)
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if module == "torch" and name in STORAGES:
            return STORAGES[name]
        raise pickle.UnpicklingError(f"a checkpoint of weights has no business with {module}.{name}")

    def persistent_load(self, identity):
        _, dtype, key, _, length, *_ = identity
        return self.storages.setdefault(key, {"key": key, "dtype": dtype, "length": length})


def load(data):
    """Name -> array. Storages may be shared and tensors strided (transposed weights are)."""
    reader = _zipped if zipfile.is_zipfile(io.BytesIO(data)) else _legacy
    tensors, storages = reader(data)
    arrays = {}
    for name, (storage, offset, shape, strides) in tensors.items():
        values = storages[storage["key"]]
        strides = [step * values.itemsize for step in strides]
        arrays[name] = np.array(np.lib.stride_tricks.as_strided(values[offset:], shape, strides))
    return arrays


def _zipped(data):
    """Since PyTorch 1.6: PREFIX/data.pkl, and PREFIX/data/KEY for each storage."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        pickled = next(name for name in archive.namelist() if name.endswith("/data.pkl"))
        unpickler = _Tensors(io.BytesIO(archive.read(pickled)))
        tensors = unpickler.load()
        folder = pickled.removesuffix(".pkl")
        storages = {key: np.frombuffer(archive.read(f"{folder}/{key}"), storage["dtype"])
                    for key, storage in unpickler.storages.items()}
    return tensors, storages


def _legacy(data):
    """Before: pickles (magic, protocol, system, tensors, keys), then for each key a count as i64 and the values."""
    file = io.BytesIO(data)
    for _ in range(3):
        _Tensors(file).load()
    unpickler = _Tensors(file)
    tensors = unpickler.load()
    storages = {}
    for key in _Tensors(file).load():
        count = int.from_bytes(file.read(8), "little")
        dtype = unpickler.storages[key]["dtype"]
        storages[key] = np.frombuffer(file.read(count * dtype.itemsize), dtype)
    return tensors, storages
