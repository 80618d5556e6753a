"""The tables of the configuration: every key with its rule, its default and a sentence.

The montage has a module of its own. Values sound by themselves may contradict each other; eegd.config
judges them together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from eegd.montage import CHIP_INPUTS
from eegd.schema import LIVE, RECONFIGURE, key

__all__ = [
    "MAX_FRAME_SAMPLES",
    "PARAM",
    "PLUGIN",
    "PLUGIN_SAYS",
    "RATES_SPS",
    "BoardConfig",
    "DaemonConfig",
    "PluginsConfig",
    "ReplayConfig",
    "SimConfig",
    "StreamConfig",
]

RATES_SPS = (250, 500, 1000, 2000, 4000, 8000, 16000)
MAX_FRAME_SAMPLES = 400
SPIDEV = r"/dev/spidev(?!10\.)\d{1,3}\.\d{1,3}"
PLUGIN = r"[a-z][a-z0-9_-]{0,31}"
PLUGIN_SAYS = "a small letter, then up to 31 small letters, digits, _ or -"
PARAM = r"[A-Za-z_][A-Za-z0-9_-]{0,63}"


LINE = r"[!-~]{1,32}"


def _line(doc: str) -> Any:
    return key(None, doc, pattern=LINE, says="a GPIO line's name, such as GPIO26")


def _lines(doc: str) -> Any:
    says = 'a list of up to 4 names of GPIO lines, such as ["GPIO26", "GPIO13"]'
    return key((), doc, pattern=LINE, says=says, low=0, high=4)


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardConfig:
    """The chips, how they are wired to this computer, and what they all do alike."""

    kind: str = key("sim", "Emulated chips, or real ones through Linux.", allowed=("sim", "linux"))
    chips: tuple[str, ...] = key(
        ("ADS1299",), "The chips, nearest the host first.", allowed=tuple(CHIP_INPUTS), low=1, high=4
    )
    topology: str = key("cascade", "A chip select for each chip, or one for a chain.", allowed=("cascade", "daisy"))
    clocks: str = key("shared", "One clock for all chips, or each chip on its own.", allowed=("shared", "own"))
    rate_sps: int = key(250, "Sample rate.", unit="SPS", allowed=RATES_SPS, says="ADS1299 offers", change=RECONFIGURE)
    sclk_hz: int = key(4_000_000, "SPI clock for frames.", unit="Hz", low=50_000, high=20_000_000, change=RECONFIGURE)
    register_sclk_hz: int = key(
        2_000_000, "SPI clock for registers.", unit="Hz", low=50_000, high=4_000_000, change=RECONFIGURE
    )
    spi: tuple[str, ...] = key(
        (),
        "SPI devices, one per chip select.",
        pattern=SPIDEV,
        says="a list of up to 4 devices such as /dev/spidev0.0; bus 10 is a Raspberry Pi 5's boot flash",
        low=0,
        high=4,
    )
    gpio_chip: str | None = key(
        None,
        "Label of the GPIO chip with the lines.",
        pattern=r"[!-~]{1,31}",
        says="a GPIO chip's label, such as pinctrl-rp1",
    )
    drdy_line: str | None = _line("Line of DRDY, falling when a conversion is ready.")
    idle_line: str | None = _line("A free line, requested with DRDY to reveal merged edges.")
    drdy_lines: tuple[str, ...] = _lines("With clocks of their own: each chip's DRDY.")
    idle_lines: tuple[str, ...] = _lines("With clocks of their own: a free line for each chip.")
    start_line: str | None = _line("Line of START; without it conversions start by command.")
    reset_line: str | None = _line("Line of RESET; without it the chip is reset by command.")
    pwdn_line: str | None = _line("Line of PWDN.")
    internal_reference: bool = key(True, "Use the chip's 4.5 V reference.", change=RECONFIGURE)
    bias_amplifier: bool = key(True, "Drive the ground electrode.", change=RECONFIGURE)
    clock_out: bool = key(False, "Give the first chip's clock out on its CLK pin.", change=RECONFIGURE)
    gpio: int = key(
        0x0F,
        "The chip's GPIO register.",
        low=0,
        high=255,
        says="a byte, 0x00 to 0xFF",
        hex=True,
        change=RECONFIGURE,
    )
    input: str = key(
        "electrodes",
        "What the channels measure.",
        allowed=("electrodes", "test_signal", "shorted"),
        change=RECONFIGURE,
    )
    test_signal: str = key("slow", "The test square wave.", allowed=("slow", "fast"), change=RECONFIGURE)
    test_amplitude: int = key(
        1, "Its amplitude in steps of 1.875 mV.", unit="times ±1.875 mV", allowed=(1, 2), change=RECONFIGURE
    )
    lead_off_mode: str = key(
        "off", "Lead-off current.", allowed=("off", "dc", "ac_7.8", "ac_31.25"), change=RECONFIGURE
    )
    lead_off_current_na: int = key(
        6, "Its size.", unit="nA", allowed=(6, 24, 6000, 24000), says="ADS1299 offers", change=RECONFIGURE
    )
    lead_off_threshold_percent: float = key(
        95.0,
        "Comparator level.",
        unit="%",
        allowed=(95.0, 92.5, 90.0, 87.5, 85.0, 80.0, 75.0, 70.0),
        says="ADS1299 offers",
        change=RECONFIGURE,
    )
    allow_high_lead_off_current: bool = key(False, "Permit 6 and 24 µA.", change=LIVE)
    check_lead_off_bits: bool = key(
        True, "Refuse frames whose lead-off bits are set while the comparators are off.", change=RECONFIGURE
    )
    discard: int = key(
        2, "Conversions dropped after a start.", unit="conversions", low=0, high=1000, change=RECONFIGURE
    )
    edge_latency_ns: int = key(
        0,
        "Constant delay of the edge stamps, subtracted.",
        unit="ns",
        low=0,
        high=1_000_000,
        change=RECONFIGURE,
    )
    fclk_hz: int = key(2_048_000, "Nominal chip clock.", unit="Hz", low=1_500_000, high=2_250_000, change=RECONFIGURE)
    first_chip: int = 0
    """Place on the board of chips[0]. Not 0 only in what eegd.clocks makes for a chip with a clock of its own."""

    @property
    def lines(self) -> tuple[str, ...]:
        """Names of all its GPIO lines."""
        single = (self.drdy_line, self.idle_line, self.start_line, self.reset_line, self.pwdn_line)
        return (*(line for line in single if line is not None), *self.drdy_lines, *self.idle_lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class SimConfig:
    """The emulated chip, used when [board] kind = "sim"."""

    source: str = key("synthetic", "What its electrodes carry.", allowed=("synthetic", "pattern", "sine", "quiet"))
    seed: int = key(1, "Makes the random parts repeatable.", low=0, high=2**32 - 1)
    clock: str = key("real", "Real time, or as fast as the readers allow.", allowed=("real", "virtual"))
    chip: str = key("patient", "Wait for a late read, or lose as a chip does.", allowed=("patient", "strict"))
    fclk_ppm: float = key(0.0, "Error of the chip clock.", unit="ppm", low=-25_000, high=25_000)
    clock_spread_ppm: float = key(
        0.0,
        "By how much each chip with a clock of its own is faster than the one before.",
        unit="ppm",
        low=-25_000,
        high=25_000,
    )
    triggers: str | None = key(None, "Edges on the emulated marker lines: demo, or a file of them.")
    sine_hz: float = key(10.0, "Frequency of the sine.", unit="Hz", low=0.001, high=8000)
    sine_uv: float = key(100.0, "Amplitude of the sine.", unit="µV", low=0, high=4_500_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayConfig:
    """A recording that the emulated chip plays in place of its own signal."""

    file: str | None = key(None, "The recording.")
    format: str = key("auto", "How to read it.", allowed=("auto", "pieeg", "openbci", "edf", "bdf", "csv"))
    loop: bool = key(False, "Begin again at the end.")


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamConfig:
    """Frames of the raw stream, and the memory they live in."""

    frame_ms: float | None = key(4.0, "Length of a frame.", unit="ms", low=0.001, high=1600, change=RECONFIGURE)
    frame_samples: int | None = key(
        None, "Length of a frame, instead.", unit="samples", low=1, high=MAX_FRAME_SAMPLES, change=RECONFIGURE
    )
    pool_mb: float = key(32.0, "Memory for slabs.", unit="MB", low=0.25, high=4096)
    max_readers: int = key(16, "Readers at a time.", unit="readers", low=1, high=63)
    direct_publish_readers: int = key(
        16, "Readers up to which capture publishes itself.", unit="readers", low=0, high=63
    )

    state_hold_ms: float = key(
        500.0,
        "How long a channel must be railed, flat or off before it is told.",
        unit="ms",
        low=0,
        high=60_000,
        change=RECONFIGURE,
    )
    flat_ms: float = key(
        100.0,
        "How long the very same code makes a channel flat; 0 for never.",
        unit="ms",
        low=0,
        high=60_000,
        change=RECONFIGURE,
    )

    def samples_per_frame(self, rate_sps: int) -> int:
        """Frame length at a rate, at least one sample."""
        if self.frame_samples is not None:
            return self.frame_samples
        return max(1, int((self.frame_ms or 0) * rate_sps / 1000 + 0.5))


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginsConfig:
    """Plugins that start with the daemon, and their parameters."""

    run: tuple[str, ...] = key(
        (),
        "Plugins to start.",
        pattern=PLUGIN,
        high=64,
        says=f"a list of names, each {PLUGIN_SAYS}",
        change=LIVE,
    )
    dirs: tuple[str, ...] = key(
        (), "Further directories with plugins.", low=0, high=64, says="a list of paths, 64 at most", change=LIVE
    )
    hang_s: float = key(
        10.0, "Silence after which a plugin is restarted; 0 for never.", unit="s", low=0, high=86_400, change=LIVE
    )
    memory_mb: float = key(
        1024.0, "Memory that each plugin may have of its own; 0 for any.", unit="MB", low=0, high=1_000_000, change=LIVE
    )
    params: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    """[plugins.NAME] tables, values as written; the plugin itself declares and checks them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonConfig:
    """The process."""

    runtime_dir: str | None = key(
        None, "Directory of the sockets.", pattern=r"/.*", says="a path from the root on, such as /run/eegd"
    )
    log_level: str = key(
        "info", "Least important line logged.", allowed=("debug", "info", "warning", "error"), change=LIVE
    )
    group: str | None = key(
        None,
        "Group that may connect.",
        pattern=r"[A-Za-z_][A-Za-z0-9_.-]{0,31}",
        says="the name of a group of this system",
    )
    rt_priority: int = key(49, "SCHED_FIFO priority of capture.", low=0, high=99)
    cpu: int | None = key(None, "Core for the capture thread.", low=0, high=1023)
