# SPDX-License-Identifier: MIT
"""A recording, byte for byte: from the chips' registers through spidev and eegd to a lossless reader."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from eegd.pattern import find_pattern
from tests.kernel.guest.eegd_kit import Eegd
from tests.kernel.guest.kit import JOB, expect, row, status, write_frames

FILE = JOB / "recording.bin"


def codes_of(frames: NDArray[np.uint8]) -> NDArray[np.int32]:
    raw = frames[:, 3:].reshape(-1, 8, 3).astype(np.int32)
    codes = raw[..., 0] << 16 | raw[..., 1] << 8 | raw[..., 2]
    return np.asarray(codes - ((codes & 0x800000) << 1))


def main() -> None:
    if not FILE.exists():
        print("@SKIP the recording PiEEG_eeg_data_3.txt is not in ../shared/data")
        return
    sent = np.frombuffer(FILE.read_bytes(), np.uint8).reshape(-1, 27)
    codes: list[NDArray[np.int32]] = []
    words: list[int] = []
    # With the LED of a PiEEG on, every status word carries the mark C0 00 08.
    with Eegd(250, extra="gpio = 0x80", stream="frame_samples = 1") as daemon, daemon.reader() as (_, stream):
        for frame in stream:
            expect(frame.status_and == frame.status_or, "two status words in a frame of one sample")
            expect(frame.lost_before == frame.missed == 0, f"lost before sample {frame.sample_index}")
            if frame.sample_index == 0:
                write_frames(sent.tobytes())
            if not codes and find_pattern(frame.codes()) is not None:
                continue  # the chip's own conversions until the recording was there
            codes.append(frame.codes()[:, 0])
            words.append(frame.status_and[0])
            if len(codes) == len(sent):
                break
        seen = status()
    got, wanted = np.array(codes), codes_of(sent)
    sent_words = sent[:, :3].astype(np.int64) @ (65536, 256, 1)
    wrong_codes = int(np.count_nonzero(got != wanted))
    wrong_words = int(np.count_nonzero(np.array(words) != sent_words))
    expect(wrong_codes == wrong_words == 0, f"{wrong_codes} codes and {wrong_words} status words differ")
    expect(seen["overruns"] == 0, f"the chip overran {seen['overruns']} times")
    row(test="recording", conversions=len(sent), codes=got.size, wrong_codes=wrong_codes, wrong_status=wrong_words)


if __name__ == "__main__":
    main()
