"""What the daemon says about itself: the stream's description and the status report, as plain JSON types."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from eegd.attach import AttachServer
from eegd.capture import LOSSES, CaptureStats
from eegd.config import Config
from eegd.conversion import sample_period_ns
from eegd.frame import flag_names
from eegd.montage import montage_description
from eegd.outlet import OutletStats

if TYPE_CHECKING:
    from eegd.acquisition import Acquisition
    from eegd.acquisitions import Acquisitions
    from eegd.daemon import Daemon

__all__ = ["daemon_info", "daemon_status", "pool_report", "raw_description", "status_line", "summary_line"]

GROUP_DELAY_SAMPLES = 1.5
"""Of the sinc³ decimation filter: 1.5·(N − 1)/fMOD (SBAS499C 9.3.2.3), for practical N 1.5 sample periods."""

BOARD_KEYS = ("input", "test_signal", "test_amplitude", "lead_off_mode")
"""Of [board], what the channels measure."""


def raw_description(
    config: Config, flags: int, name: str = "raw", streams: Sequence[str] = ("raw",)
) -> dict[str, object]:
    """What readers of a raw stream are told, but for the stream epoch. streams: all raw streams of the board."""
    return {
        "name": name,
        "kind": "raw",
        "streams": list(streams),
        "rate_sps": float(config.board.rate_sps),
        "frame_samples": config.samples_per_frame,
        "frames_per_s": config.board.rate_sps / config.samples_per_frame,
        "delay_ns": round(GROUP_DELAY_SAMPLES * sample_period_ns(config.board)),
        "clock": "CLOCK_MONOTONIC",
        "edge_latency_ns": config.board.edge_latency_ns,
        "flags": flag_names(flags),
        "chips": list(config.board.chips),
        "topology": config.board.topology,
        "board": {name: getattr(config.board, name) for name in BOARD_KEYS},
        **montage_description(config.montage, config.board),
    }


def pool_report(stats: OutletStats) -> dict[str, object]:
    return {
        "slabs": stats.n_slabs,
        "free": stats.free,
        "in_use": stats.n_slabs - stats.free,
        "peak_in_use": stats.n_slabs - stats.least_free,
        "promised": stats.promised,
        "reserve": stats.reserve,
        "misses": stats.misses,
        "allocations": stats.frames,
        "bytes": stats.segment_bytes,
        "locked": stats.locked,
    }


def _stream_report(server: AttachServer, captured: CaptureStats | None) -> dict[str, object]:
    outlet = server.outlet
    if outlet is None:
        return {"state": "between epochs", "readers": []}
    stats = outlet.stats()
    report: dict[str, object] = {
        "state": captured.state if captured is not None else "waiting for readers",
        "stream_epoch": outlet.stream_epoch,
        "frames": stats.frames,
        "samples": stats.samples,
        "next_sample": stats.next_sample,
        "lost": stats.lost,
        "pool": pool_report(stats),
        "readers": server.readers.table(),
    }
    if stats.holdup is not None:
        report["held_up_by"] = server.readers.name_at(stats.holdup) or "?"
    return report


def _acquisition_report(acquisition: Acquisition, counters: Mapping[str, int]) -> dict[str, object]:
    """One raw stream, from its chips to its readers."""
    config = acquisition.config
    captured = acquisition.capture.stats() if acquisition.capture is not None else None
    prefix = f"{acquisition.stream}."  # of all but the first stream
    counted = {counter.label.removeprefix(prefix): counters[counter.label] for counter in acquisition.counters}
    rate: dict[str, object] = {"nominal_sps": config.board.rate_sps}
    threads: dict[str, object] = {}
    if captured is not None:
        rate |= {
            "effective_sps": captured.rate_sps,
            "ppm": captured.ppm,
            "jitter_rms_us": captured.jitter_rms_us,
            "late_peak_us": captured.late_peak_us,
        }
        threads = {
            "capture_tid": captured.tid,
            "sender_tid": captured.sender_tid,
            "priority_refused": captured.priority_error,
        }
    return {
        "name": acquisition.stream,
        "board": f"{acquisition.board.name}: {' + '.join(config.board.chips)}",
        "sclk_hz": acquisition.board.real_sclk_hz(config.board.sclk_hz),
        "flags": flag_names(acquisition.flags),
        "n_channels": len(config.montage.on),
        "frame_samples": config.samples_per_frame,
        "epochs": acquisition.n_epochs,
        "rate": rate,
        "samples": counted["capture.samples"],
        "losses": {cause: counted[f"loss.{cause}"] for cause in LOSSES},
        "bad_by_cause": {
            label.removeprefix("bad."): value for label, value in counted.items() if label.startswith("bad.")
        },
        "without_data_ns": acquisition.without_data_ns,
        "recovery": acquisition.recovery.report(),
        "channels": acquisition.channel_report(),
        "stream": _stream_report(acquisition.server, captured),
        "detectors": acquisition.told.detectors.report(config),
        "events": acquisition.told.ring.stats(),
        "event_rings": acquisition.told.ring_report(),
        "threads": threads,
    }


def daemon_info(daemon: Daemon) -> dict[str, object]:
    """What the raw streams are, `raw` also by itself, and whose they are."""
    described = [acquisition.describe() for acquisition in daemon.acquisitions]
    return {"stream": described[0], "streams": described, "pid": daemon.pid}


def daemon_status(daemon: Daemon) -> dict[str, object]:
    """The report behind `eegctl status --json`: what is said of the stream `raw` stands at the top, too."""
    counters = daemon.acquisitions.counters.values()
    streams = [_acquisition_report(acquisition, counters) for acquisition in daemon.acquisitions]
    return {
        "pid": daemon.pid,
        "uptime_s": time.monotonic() - daemon.started_s,
        "runtime_dir": str(daemon.directory),
        "config": daemon.config.path,
        "base": daemon.config.base,
        "clock": "virtual" if daemon.virtual_clock else "real",
        **streams[0],
        "streams": streams,
        "marker_lines": None if daemon.markers is None else daemon.markers.report(),
        "published": daemon.events.report(),
        "plugins": daemon.supervisor.report(),
        "plugin_dirs": list(daemon.config.plugins.dirs),
        "warnings": daemon.acquisitions.warnings,
    }


def status_line(acquisitions: Acquisitions) -> str:
    """`simulated: 250.0 SPS, 1 500 samples, 0 lost`; for the service manager."""
    marks = ", ".join(flag_names(acquisitions.first.flags))
    states = "; ".join(dict.fromkeys(acquisition.state_line for acquisition in acquisitions))
    return f"{marks}: " * bool(marks) + f"{states}, {summary_line(acquisitions.counters.values())}"


def summary_line(counters: Mapping[str, int], plural: str = "samples") -> str:
    """`5 400 000 samples, 0 lost`; losses by cause where there are any; of several streams the sum, then each."""
    prefixes = [label.removesuffix("capture.samples") for label in counters if label.endswith("capture.samples")]
    lines = {prefix.rstrip(".") or "raw": _summary(counters, [prefix]) for prefix in prefixes}
    total = f"{_summary(counters, prefixes, f' {plural}')}"
    return total if len(lines) == 1 else "; ".join([total, *(f"{name} {line}" for name, line in lines.items())])


def _summary(counters: Mapping[str, int], prefixes: Sequence[str], plural: str = "") -> str:
    lost = {cause: sum(counters[f"{prefix}loss.{cause}"] for prefix in prefixes) for cause in LOSSES}
    causes = ", ".join(f"{n} {cause}" for cause, n in lost.items() if n)
    count = f"{sum(counters[f'{prefix}capture.samples'] for prefix in prefixes):,}".replace(",", " ")
    return f"{count}{plural}, {sum(lost.values())} lost" + (f" ({causes})" if causes else "")
