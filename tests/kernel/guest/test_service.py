# SPDX-License-Identifier: MIT
"""The unit, its sandbox, limits and udev rules, on real spidev and GPIO nodes: what a container cannot show."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from tests.kernel.guest.kit import JOB, expect, fault, load, row, violations

CONFIG = """\
[board]
kind = "linux"
spi = ["/dev/spidev0.0"]
drdy_line = "GPIO26"
"""
AWAY = 3000
"""Conversions at 250 SPS: 12 s, more than WatchdogSec."""


def out(*words: str) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()


def shown(name: str) -> str:
    return out("systemctl", "show", "--value", f"--property={name}", "eegd.service")


def until(what: str, holds: Callable[[], bool]) -> None:
    """Guest time, which does not depend on the host's load."""
    end = time.monotonic() + 60
    while not holds():
        if time.monotonic() > end:
            raise SystemExit(f"FAILED: not within a minute: {what}\n{journal()}")
        time.sleep(0.1)


def journal() -> str:
    return out("journalctl", "--no-pager", "--output=cat", "--unit=eegd.service")


def install() -> None:
    """As packaging/install.sh does it; the emulated gpiochip's driver stands for RP1's in the udev rule."""
    source = JOB / "systemd"
    unit = (source / "eegd.service").read_text().replace("@PREFIX@", "/opt/eegd")
    Path("/etc/systemd/system/eegd.service").write_text(unit)
    rules = (source / "udev.rules").read_text().replace("pinctrl-rp1|", "eegd_chip|")
    Path("/etc/udev/rules.d/60-eegd.rules").write_text(rules)
    shutil.copy(source / "sysusers.conf", "/usr/lib/sysusers.d/eegd.conf")
    out("systemd-sysusers")
    out("udevadm", "control", "--reload")
    Path("/etc/eegd").mkdir()
    Path("/etc/eegd/eegd.toml").write_text(CONFIG)
    load(daisy=1)
    out("systemctl", "daemon-reload")


def devices() -> str:
    chips = [path for path in Path("/dev").glob("gpiochip*") if path.group() == "gpio"]
    spi = Path("/dev/spidev0.0")
    modes = {oct(path.stat().st_mode & 0o777) for path in [spi, *chips]}
    expect(spi.group() == "spi" and len(chips) == 1 and modes == {"0o660"}, f"{spi.group()} {chips} {modes}")
    return f"{spi} {chips[0]}"


def limits(pid: str) -> tuple[str, str]:
    status = Path(f"/proc/{pid}/status").read_text()
    locked = re.search(r"VmLck:\s+(\d+) kB", status)
    size = re.search(r"VmSize:\s+(\d+) kB", status)
    expect(locked is not None and size is not None, "no VmLck")
    assert locked is not None
    assert size is not None
    expect(int(locked[1]) > int(size[1]) * 0.5, f"locked {locked[1]} of {size[1]} kB")
    threads = out("ps", "-L", "-o", "cls=,rtprio=,comm=", "-p", pid).splitlines()
    real_time = sorted(" ".join(line.split()) for line in threads if line.split()[0] == "FF")
    expect(any("FF 49 eegd-capture" in line for line in real_time), f"threads: {threads}")
    return f"{int(locked[1]) // 1024} of {int(size[1]) // 1024} MB", ", ".join(real_time)


def status() -> dict[str, object]:
    found: dict[str, object] = json.loads(out("/opt/eegd/bin/eegctl", "status", "--json"))
    return found


def samples() -> int:
    return int(str(status()["samples"]))


def main() -> None:
    install()
    row(test="udev rules", devices=devices())
    out("systemctl", "start", "eegd.service")
    text, pid = shown("StatusText"), shown("MainPID")
    expect(re.fullmatch(r"[\d.]+ SPS, [\d ]+ samples, 0 lost", text) is not None, f"status {text!r}")
    locked, real_time = limits(pid)
    row(test="started, in its sandbox", locked=locked, real_time=real_time)
    row(test="warnings of the daemon", found=status()["warnings"])

    before = samples()
    fault(f"unplugged at=0 count={AWAY}")
    until("recovery begins", lambda: "attempt" in journal())
    began = time.monotonic()
    until("samples after the board was away", lambda: samples() > before + 100 and shown("StatusText").find(" SPS") > 0)
    away_s = time.monotonic() - began
    expect(shown("NRestarts") == "0" and shown("MainPID") == pid, f"restarted:\n{journal()}")
    row(test="unplugged, not restarted", away_s=f"{away_s:.1f}", status=shown("StatusText"))

    began = time.monotonic()
    out("systemctl", "stop", "eegd.service")
    took_s = time.monotonic() - began
    expect(shown("Result") == "success", f"result {shown('Result')}:\n{journal()}")
    expect(not Path("/run/eegd").exists(), "/run/eegd is still there")
    row(test="stopped", seconds=f"{took_s:.2f}", said=journal().splitlines()[-1], violations=len(violations()))


if __name__ == "__main__":
    main()
