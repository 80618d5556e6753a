"""The C core sends and receives through the very libzmq that pyzmq has loaded; this module finds and checks it."""

from __future__ import annotations

import functools
import importlib
from types import ModuleType

import zmq

from eegd._native import ffi, lib
from eegd.errors import EegdError

__all__ = ["load_libzmq"]


def _extension() -> ModuleType:
    # pyzmq 26 renamed its extension; both names are still in use (PyPI wheels, Debian's python3-zmq).
    for name in ("zmq.backend.cython._zmq", "zmq.backend.cython.socket"):
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    raise EegdError(f"pyzmq {zmq.__version__} has no Cython backend here; eegd needs it to send from C")


@functools.cache
def load_libzmq() -> str:
    """Resolves libzmq's calls for the C core, once per process, and returns its version.

    Raises EegdError where the library that C would use is not the one that pyzmq uses.
    """
    path = _extension().__file__
    assert path is not None
    numbers = [ffi.new("int *") for _ in range(3)]
    error = lib.eegd_libzmq_load(path.encode(), *numbers)
    if error < 0:
        raise EegdError(f"libzmq cannot be reached through {path} (error {error})")
    version = ".".join(str(number[0]) for number in numbers)
    if version != zmq.zmq_version():
        raise EegdError(f"{path} leads to libzmq {version}, but pyzmq uses {zmq.zmq_version()}")
    return version
