"""The doctor's checks of latency and of a running daemon, and what --fix changes: on good computers and bad ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import eegd.doctor.examine  # fills the list of checks
from eegd.client import Client
from eegd.doctor.check import Context, Fix, Level, Result, apply_fixes
from eegd.doctor.running import Running, find_running, lock_holder, unit_of
from eegd.doctor.tuning import bench_irq_thread
from eegd.errors import EegdError
from eegd.runtime_dir import Lock
from tests.unit.computer import REAL_BOARD, Computer, config_of, result_of

assert eegd.doctor.examine

FIFO = 1
DAEMON, IRQ = 700, 81


@pytest.fixture
def computer(tmp_path: Path) -> Computer:
    return Computer(tmp_path)


def running(**changes: Any) -> Running:
    """A daemon as its status describes it, without a socket."""
    status: dict[str, Any] = {
        "pid": DAEMON,
        "board": "linux: ADS1299",
        "stream": {"state": "running"},
        "samples": 90_000,
        "losses": {"missed": 0, "bad": 0, "late": 0, "overrun": 0},
        "rate": {"nominal_sps": 250, "effective_sps": 249.99, "ppm": -40.0, "jitter_rms_us": 3.0},
        "threads": {"capture_tid": DAEMON},
        "warnings": [],
    }
    return Running(Client(Path("/nowhere")), status | changes, "eegd.service")


DYNAMIC = "#1 SMP PREEMPT_DYNAMIC Debian 6.12.1-1 (2024-11-25)"


@pytest.mark.parametrize(
    ("version", "found"), [("#1 SMP PREEMPT_RT Debian", "PREEMPT_RT"), ("#1 SMP PREEMPT Debian", "full (PREEMPT in")]
)
def test_a_kernel_that_is_built_preemptible_is_well(computer: Computer, version: str, found: str) -> None:
    computer.facts["version"] = version
    result = result_of(computer, "preemption")
    assert result.level is Level.OK and result.found.startswith(found)


@pytest.mark.parametrize(
    ("modes", "level", "found"),
    [
        ("none (voluntary) full", Level.WARN, "voluntary (in use now)"),
        ("(none) voluntary full", Level.WARN, "none (in use now)"),
        ("none voluntary (full)", Level.OK, "full (in use now)"),
        ("none voluntary full (lazy)", Level.OK, "lazy (in use now)"),
    ],
)
def test_the_preemption_in_use_goes_before_the_command_line(
    computer: Computer, modes: str, level: Level, found: str
) -> None:
    computer.facts["version"] = DYNAMIC
    computer.file("sys/kernel/debug/sched/preempt", f"{modes}\n")
    computer.file("proc/cmdline", "root=/dev/sda1 preempt=full quiet\n")
    result = result_of(computer, "preemption")
    assert (result.level, result.found) == (level, found)
    assert ("preempt=full" in result.mend) == (level is Level.WARN)


def test_preemption_is_read_from_the_command_line_where_only_root_sees_what_is_in_use(computer: Computer) -> None:
    computer.facts["version"] = DYNAMIC
    computer.file("proc/cmdline", "preempt=full notpreempt=none preempt=voluntary\n")
    result = result_of(computer, "preemption")
    assert result.level is Level.WARN and result.found == "voluntary (on the kernel's command line)"


def test_preemption_that_nobody_chose_is_the_kernels_default(computer: Computer) -> None:
    computer.facts |= {"version": DYNAMIC, "release": "6.12.1-amd64"}
    computer.file("proc/cmdline", "quiet\n")
    assert result_of(computer, "preemption").level is Level.NOTE
    config = "CONFIG_PREEMPT_BUILD=y\n# CONFIG_PREEMPT_NONE is not set\nCONFIG_PREEMPT_VOLUNTARY=y\n"
    computer.file("boot/config-6.12.1-amd64", config)
    result = result_of(computer, "preemption")
    assert result.level is Level.WARN and result.found == "voluntary (this kernel's default)"


def test_a_kernel_that_cannot_preempt_needs_another_one(computer: Computer) -> None:
    computer.facts["version"] = "#1 SMP Debian"
    result = result_of(computer, "preemption")
    assert result.level is Level.WARN and "preempt=full" not in result.mend and "CONFIG_PREEMPT" in result.mend


def governors(computer: Computer, value: str) -> list[Path]:
    return [
        computer.file(f"sys/devices/system/cpu/cpu{core}/cpufreq/scaling_governor", f"{value}\n") for core in range(4)
    ]


def test_a_governor_that_saves_power_is_set_to_performance_by_fix(computer: Computer) -> None:
    files = governors(computer, "ondemand")
    result = result_of(computer, "governor")
    assert result.level is Level.WARN and "ondemand on 4 cores" in result.found
    (mended,) = apply_fixes([result])
    assert mended.level is Level.OK and "until the next boot" in mended.changed
    assert {path.read_text() for path in files} == {"performance\n"}
    assert result_of(computer, "governor").level is Level.OK


def test_a_computer_that_does_not_scale_its_clock_is_only_noted(computer: Computer) -> None:
    assert result_of(computer, "governor").level is Level.NOTE


def test_the_sleeping_pcie_link_is_mended_by_fix(computer: Computer) -> None:
    policy = computer.file("sys/module/pcie_aspm/parameters/policy", "default performance [powersave] powersupersave\n")
    result = result_of(computer, "PCIe power")
    assert result.level is Level.WARN and "powersave" in result.found
    list(apply_fixes([result]))
    assert policy.read_text() == "performance\n"
    policy.write_text("default [performance] powersave\n")
    assert result_of(computer, "PCIe power").level is Level.OK


def test_a_fix_that_is_refused_leaves_the_command() -> None:
    def refuse() -> None:
        raise PermissionError(13, "Permission denied")

    before = Result("governor", Level.WARN, "ondemand", "slow", "echo performance | sudo tee …", Fix(refuse, "done"))
    (after,) = apply_fixes([before])
    assert after.level is Level.WARN and "Permission denied" in after.changed and "sudo" in after.mend


def test_nothing_is_changed_where_nothing_offers_it() -> None:
    before = Result("SPI devices", Level.RED, "closed", "why", "sudo usermod -aG spi lab")
    assert list(apply_fixes([before])) == [before]


def test_limits_that_are_enough_are_well(computer: Computer) -> None:
    computer.limits("self", "99", "unlimited")
    assert result_of(computer, "limits").level is Level.OK


def test_a_user_without_real_time_limit_is_told_the_file_to_write(computer: Computer) -> None:
    computer.limits("self", "0", "8388608")
    result = result_of(computer, "limits")
    assert result.level is Level.WARN and "rt_priority = 49" in result.why and "page fault" in result.why
    assert "limits.d/eegd.conf" in result.mend and "rtprio 49" in result.mend


def test_capabilities_count_as_limits(computer: Computer) -> None:
    computer.limits("self", "0", "8388608")
    computer.file("proc/self/status", f"Name:\tx\nCapEff:\t{1 << 14 | 1 << 23:016x}\n")
    assert result_of(computer, "limits").level is Level.OK


def test_limits_of_the_service_name_its_unit(computer: Computer) -> None:
    computer.limits(DAEMON, "0", "unlimited")
    result = result_of(computer, "daemon limits", group="service", running=running())
    assert result.level is Level.WARN and "systemctl edit eegd.service" in result.mend and result.group == "service"


def test_capture_above_the_interrupt_that_feeds_it_is_a_warning_with_the_chrt_to_run(computer: Computer) -> None:
    computer.process(DAEMON, "eegd", FIFO, 50)
    computer.process(IRQ, "irq/81-eegd", FIFO, 50)
    result = result_of(computer, "DRDY interrupt", group="service", running=running())
    assert result.level is Level.WARN and result.mend == f"sudo chrt -f -p 51 {IRQ}" and result.fix is not None
    computer.process(IRQ, "irq/81-eegd", FIFO, 51)
    assert result_of(computer, "DRDY interrupt", group="service", running=running()).level is Level.OK


def test_the_interrupt_of_the_doctors_own_board_is_held_against_the_configured_priority(computer: Computer) -> None:
    context = Context(computer.system, config_of(REAL_BOARD), None)
    assert [result.level for result in bench_irq_thread(context)] == [Level.NOTE]
    computer.process(IRQ, "irq/81-eegd-drd", FIFO, 49)
    (result,) = bench_irq_thread(context)
    assert result.level is Level.WARN and "chrt -f -p 50" in result.mend and result.fix is None


def test_the_default_priority_is_below_what_kernels_give_to_interrupts(computer: Computer) -> None:
    computer.process(IRQ, "irq/81-eegd-drd", FIFO, 50)
    assert [result.level for result in bench_irq_thread(Context(computer.system, config_of(REAL_BOARD), None))] == [
        Level.OK
    ]


def test_an_ordinary_capture_thread_is_a_warning(computer: Computer) -> None:
    computer.process(DAEMON, "eegd")
    result = result_of(computer, "priority", group="service", running=running())
    assert result.level is Level.WARN and "OTHER" in result.found
    computer.process(DAEMON, "eegd", FIFO, 50)
    assert "FIFO 50" in result_of(computer, "priority", group="service", running=running()).found


def test_losses_are_red_with_the_remedy_of_their_greatest_cause(computer: Computer) -> None:
    assert result_of(computer, "losses", group="service", running=running()).level is Level.OK
    lossy = running(losses={"missed": 1, "bad": 0, "late": 7, "overrun": 0})
    result = result_of(computer, "losses", group="service", running=lossy)
    assert result.level is Level.RED and "8 lost (1 missed, 7 late)" in result.found and "sclk_hz" in result.mend


def test_each_stream_of_a_board_with_several_clocks_has_its_own_rows(computer: Computer) -> None:
    one = running().status
    two = running(streams=[{**one, "name": "raw"}, {**one, "name": "raw2", "losses": {"late": 1}}])
    assert result_of(computer, "losses, raw", group="service", running=two).level is Level.OK
    assert result_of(computer, "losses, raw2", group="service", running=two).level is Level.RED


def test_a_rate_that_no_chip_clock_gives_is_red(computer: Computer) -> None:
    assert result_of(computer, "rate", group="service", running=running()).level is Level.OK
    reset = {"nominal_sps": 500, "effective_sps": 250.0, "ppm": -500_000.0, "jitter_rms_us": 3.0}
    assert result_of(computer, "rate", group="service", running=running(rate=reset)).level is Level.RED


def test_what_the_daemon_warns_of_is_passed_on(computer: Computer) -> None:
    assert result_of(computer, "warnings", group="service", running=running()).level is Level.OK
    warned = running(warnings=["expect late reads"])
    assert result_of(computer, "warnings", group="service", running=warned).found == "expect late reads"


@pytest.mark.parametrize(
    ("cgroup", "unit", "of_user"),
    [
        ("0::/system.slice/eegd.service", "eegd.service", False),
        ("0::/system.slice/eegd.service/payload", "eegd.service", False),
        ("0::/user.slice/user-1000.slice/user@1000.service/app.slice/lab.service", "lab.service", True),
        ("0::/user.slice/user-1000.slice/user@1000.service/app.slice/term.scope", None, True),
        ("0::/user.slice/user-1000.slice/session-2.scope", None, False),
    ],
)
def test_the_unit_of_a_process_is_read_from_its_control_group(
    computer: Computer, cgroup: str, unit: str | None, of_user: bool
) -> None:
    computer.file("proc/9/cgroup", f"{cgroup}\n")
    assert unit_of(computer.system, 9) == (unit, of_user)


def test_no_daemon_is_no_error(tmp_path: Path, computer: Computer) -> None:
    assert find_running(str(tmp_path / "none"), computer.system) is None
    assert lock_holder(tmp_path / "none") is None


def test_a_held_lock_names_its_process(tmp_path: Path) -> None:
    import os

    lock = Lock(tmp_path / "eegd.lock")
    assert lock_holder(tmp_path) == str(os.getpid())
    lock.release()
    assert lock_holder(tmp_path) is None


def test_a_check_that_fails_by_itself_is_red_and_the_rest_goes_on(computer: Computer) -> None:
    def broken(_: list[str]) -> str | None:
        raise EegdError("vcgencmd exploded")

    computer.facts["run"] = broken
    result = result_of(computer, "power")
    assert result.level is Level.RED and "vcgencmd exploded" in result.found
    assert result_of(computer, "disk").level is not Level.RED
