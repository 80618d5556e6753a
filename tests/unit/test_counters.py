"""The table of counters: what it holds, who may change it, and what a reader refuses to map."""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import struct
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eegd.counters import CounterReader, Counters
from eegd.errors import ConfigError, ProtocolError

F_ADD_SEALS = 1033
SEAL_SHRINK, SEAL_GROW = 2, 4


def memfd(content: bytes, seals: int = SEAL_SHRINK | SEAL_GROW) -> int:
    fd = os.memfd_create("forged", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.write(fd, content)
    fcntl.fcntl(fd, F_ADD_SEALS, seals)
    return fd


def image(*labels: str, capacity: int = 4) -> bytes:
    with Counters(capacity) as counters:
        for number, label in enumerate(labels):
            counters.allocate(label).set(number)
        return os.pread(counters.fd, 1 << 20, 0)


def test_a_reader_sees_what_the_writer_counts() -> None:
    with Counters(8) as counters:
        missed = counters.allocate("loss.missed")
        with CounterReader(counters.fd) as reader:
            assert reader.values() == {"loss.missed": 0}
            missed.add()
            missed.add(41)
            counters.allocate("capture.conversions").set(2**64 - 1)
            assert reader.values() == {"loss.missed": 42, "capture.conversions": 2**64 - 1}
            assert reader.values() == counters.values()
            assert (missed.value, reader.capacity) == (42, 8)


def test_a_reader_in_another_process_needs_nothing_but_the_descriptor() -> None:
    program = "import sys; from eegd.counters import CounterReader; print(CounterReader(int(sys.argv[1])).values())"
    with Counters(8) as counters:
        counters.allocate("reader.spectra.missed").add(3)
        done = subprocess.run(
            [sys.executable, "-c", program, str(counters.fd)],
            pass_fds=[counters.fd],
            capture_output=True,
            text=True,
            check=True,
        )
    assert done.stdout.strip() == "{'reader.spectra.missed': 3}"


def test_a_released_counter_vanishes_and_its_place_is_used_again_from_zero() -> None:
    with Counters(1) as counters:
        first = counters.allocate("reader.a.missed")
        first.add(5)
        counters.release(first)
        counters.release(first)
        assert counters.values() == {}
        second = counters.allocate("reader.b.missed")
        counters.release(first)
        assert counters.values() == {"reader.b.missed": 0}
        assert second.index == first.index
        with pytest.raises(ValueError, match=r"'reader\.a\.missed' was released"):
            first.add()


@pytest.mark.parametrize("label", ["", "x" * 112, "a\nb", "µV", "a\0b"])
def test_labels_that_are_not_short_printable_ascii_are_refused(label: str) -> None:
    with Counters(2) as counters, pytest.raises(ConfigError, match="1 … 111 printable ASCII"):
        counters.allocate(label)


def test_a_label_in_use_and_a_full_table_are_refused() -> None:
    with Counters(2) as counters:
        counters.allocate("x" * 111)
        with pytest.raises(ConfigError, match="is in use"):
            counters.allocate("x" * 111)
        counters.allocate("b")
        with pytest.raises(ConfigError, match="all 2 counters are in use"):
            counters.allocate("c")


@pytest.mark.parametrize("capacity", [0, 65537])
def test_a_capacity_out_of_range_is_refused(capacity: int) -> None:
    with pytest.raises(ConfigError, match="1 … 65536"):
        Counters(capacity)


def test_a_closed_table_says_so_and_closes_twice() -> None:
    counters = Counters(2)
    counter = counters.allocate("a")
    reader = CounterReader(counters.fd)
    counters.close()
    counters.close()
    assert counters.closed
    with pytest.raises(ValueError, match="the counters are closed"):
        counter.add()
    assert reader.values() == {"a": 0}
    reader.close()
    with pytest.raises(ValueError, match="the counters are closed"):
        reader.values()


def test_nobody_else_can_map_the_segment_for_writing_or_cut_it() -> None:
    with Counters(8) as counters:
        with pytest.raises(PermissionError):
            mmap.mmap(counters.fd, 128, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        with pytest.raises(PermissionError):
            os.ftruncate(counters.fd, 0)
        with pytest.raises(PermissionError):
            os.write(counters.fd, b"x")
        with mmap.mmap(counters.fd, 0, mmap.MAP_SHARED, mmap.PROT_READ) as view:
            assert view[:8] == b"eegdcnts"
        libc = ctypes.CDLL(None)
        libc.mmap.restype = ctypes.c_void_p
        readable, writable = mmap.PROT_READ, mmap.PROT_READ | mmap.PROT_WRITE
        size, offset = ctypes.c_size_t(4096), ctypes.c_long(0)
        address = libc.mmap(None, size, readable, mmap.MAP_SHARED, counters.fd, offset)
        assert libc.mprotect(ctypes.c_void_p(address), size, writable) == -1
        libc.munmap(ctypes.c_void_p(address), size)


@pytest.mark.parametrize("seals", [0, SEAL_SHRINK, SEAL_GROW])
def test_a_table_that_could_still_be_cut_short_is_not_mapped(seals: int) -> None:
    fd = memfd(image("a"), seals)
    with pytest.raises(ProtocolError, match="not a sealed table"):
        CounterReader(fd)
    os.close(fd)


def test_descriptors_of_other_things_are_refused() -> None:
    ends = os.pipe()
    with open(os.devnull, "rb") as null:
        for fd in (*ends, null.fileno()):
            with pytest.raises(ProtocolError):
                CounterReader(fd)
    for fd in ends:
        os.close(fd)
    with pytest.raises(OSError, match="Bad file descriptor"):
        CounterReader(-1)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_damage_gives_a_protocol_error_or_text_and_numbers(data: st.DataObject) -> None:
    content = bytearray(image("loss.missed", "loss.bad", "a"))
    for _ in range(data.draw(st.integers(1, 6))):
        offset = data.draw(st.integers(0, len(content) - 4))
        struct.pack_into("<I", content, offset, data.draw(st.integers(0, 2**32 - 1)))
    cut = data.draw(st.sampled_from([0, 0, 0, 1, 127, 128, 512]))
    fd = memfd(bytes(content[: len(content) - cut]))
    try:
        with CounterReader(fd) as reader:
            values = reader.values()
    except ProtocolError:
        return
    finally:
        os.close(fd)
    assert all(label.isprintable() and value >= 0 for label, value in values.items())
