# SPDX-License-Identifier: MIT
"""The guest: a Debian root on a disk, the initial RAM disk that finds it, and the agent that runs one script.

Everything lies in build/kernel and is made once; a step is made again when what it depends on has changed. The
project's own code is no part of it: that travels on a second disk, anew for each run (see machine.py).
"""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
import tomllib
from pathlib import Path

from tests.kernel.host import BUILD, ROOT, HostError, as_root, run, say
from tests.kernel.linux import Kernel

__all__ = ["guest_disk", "initial_ram_disk"]

DEBIAN_PACKAGES = (
    "systemd,systemd-sysv,udev,dbus,kmod,procps,python3,libpython3-stdlib,"
    # What eegd takes from the distribution, since PyPI has it as source only; and the libgpiod of older scripts.
    "python3-spidev,python3-systemd,python3-libgpiod"
)
# From PyPI, as compiled packages, in the versions that pyproject.toml asks for.
PYPI_PACKAGES = ("numpy", "pyzmq", "cffi", "gpiod", "rich")
DISK_SIZE = "1500M"
VENV = Path("opt/eegd")
EXCLUDED = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/info/*")
# What would wake up by itself and use the disk.
MASKED = (
    "systemd-tmpfiles-clean.timer",
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "dpkg-db-backup.timer",
    "fstrim.timer",
    "e2scrub_all.timer",
    "systemd-timesyncd.service",
)
MODULES = ("virtio_pci", "virtio_blk", "ext4")

AGENT = Path(__file__).with_name("agent.py")
AGENT_UNIT = """\
[Unit]
Description=runs one script from the second disk
After=multi-user.target
[Service]
Type=idle
ExecStart=/usr/bin/python3 /opt/agent.py
StandardOutput=journal
Restart=no
LimitMEMLOCK=infinity
LimitRTPRIO=infinity
[Install]
WantedBy=multi-user.target
"""
# busybox as /init: loads the modules in the order of /order, mounts the disk, hands over to systemd.
INIT = """\
#!/bin/busybox sh
/bin/busybox mkdir -p /dev /proc /sys /root
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
while read module; do /bin/busybox insmod /modules/$module; done </order
until [ -b /dev/vda ]; do /bin/busybox sleep 0.1; done
/bin/busybox mount -t ext4 -o noatime /dev/vda /root || exec /bin/busybox sh
/bin/busybox umount /proc /sys
exec /bin/busybox switch_root /root /lib/systemd/systemd
"""


def key_of(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def is_made(mark: Path, key: str) -> bool:
    return mark.exists() and mark.read_text(encoding="utf-8") == key


def codename(text: str) -> str:
    """The Debian release of an os-release file; the guest is the same, so that compiled code fits."""
    fields = dict(re.findall(r'^(\w+)="?([^"\n]*)"?$', text, flags=re.M))
    if fields.get("ID") != "debian" or not fields.get("VERSION_CODENAME"):
        raise HostError(
            f"the kernel tests need a Debian release; this is {fields.get('PRETTY_NAME', 'something else')}"
        )
    return str(fields["VERSION_CODENAME"])


def pypi_requirements(pyproject: str) -> list[str]:
    """PYPI_PACKAGES with the versions that the project asks for."""
    project = tomllib.loads(pyproject)["project"]
    wanted: list[str] = [*project["dependencies"], *project["optional-dependencies"]["daemon"]]
    return [text for text in wanted if re.split(r"[<>=~]", text)[0] in PYPI_PACKAGES]


def guest_disk(linux: Kernel) -> Path:
    """The qcow2 disk with the guest's root, without a snapshot. Needs root the first time."""
    suite = codename(Path("/etc/os-release").read_text(encoding="utf-8"))
    requirements = pypi_requirements((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    key = key_of(suite, DEBIAN_PACKAGES, " ".join(requirements), AGENT_UNIT, AGENT.read_text(encoding="utf-8"))
    disk, mark = BUILD / "disk.qcow2", BUILD / "disk.key"
    if disk.exists() and is_made(mark, key):
        return disk
    mark.unlink(missing_ok=True)
    tarball = debian_tarball(suite)
    with tempfile.TemporaryDirectory(prefix="eegd-kernel-", dir=BUILD) as scratch:
        root, raw = Path(scratch) / "root", Path(scratch) / "disk.raw"
        try:
            run([*as_root(), "mkdir", root])
            run([*as_root(), "tar", "-C", root, "-xf", tarball, "--numeric-owner"])
            overlay = Path(scratch) / "overlay"
            write_overlay(overlay, requirements, python_version(root))
            run([*as_root(), "cp", "-a", "--no-preserve=ownership", f"{overlay}/.", root])
            run([*as_root(), "systemctl", f"--root={root}", "enable", "eegd-agent.service"])
            run([*as_root(), "systemctl", f"--root={root}", "mask", *MASKED])
            say("making the guest's disk …")
            run([*as_root(), "mke2fs", "-q", "-t", "ext4", "-d", root, raw, DISK_SIZE])
            run([*as_root(), "chmod", "a+r", raw])
            run(["qemu-img", "convert", "-O", "qcow2", raw, disk])
        finally:
            run([*as_root(), "rm", "-rf", root, raw])
    mark.write_text(key, encoding="utf-8")
    return disk


def debian_tarball(suite: str) -> Path:
    key = key_of(suite, DEBIAN_PACKAGES)
    tarball, mark = BUILD / "debian.tar", BUILD / "debian.key"
    if tarball.exists() and is_made(mark, key):
        return tarball
    say(f"making a Debian {suite} root …")
    exclude = [f"--dpkgopt=path-exclude={pattern}" for pattern in EXCLUDED]
    options = ["--variant=minbase", f"--include={DEBIAN_PACKAGES}", "--aptopt=APT::Install-Recommends false"]
    run([*as_root(), "mmdebstrap", *options, *exclude, suite, tarball])
    mark.write_text(key, encoding="utf-8")
    return tarball


def python_version(root: Path) -> str:
    return (root / "usr/bin/python3").readlink().name.removeprefix("python")


def write_overlay(overlay: Path, requirements: list[str], version: str) -> None:
    """The files that the guest has beyond Debian's: a virtual environment, the agent and its unit."""
    site = overlay / VENV / "lib" / f"python{version}" / "site-packages"
    site.mkdir(parents=True)
    say(f"installing {' '.join(requirements)} for the guest's Python {version} …")
    pip = [str(ROOT / ".venv/bin/python"), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    compiled = ["--python-version", version, "--only-binary=:all:", "--implementation", "cp"]
    run([*pip, "--target", str(site), *compiled, *requirements])
    (site / "job.pth").write_text("/run/job/site\n", encoding="utf-8")
    binaries = overlay / VENV / "bin"
    binaries.mkdir()
    (binaries / "python").symlink_to("/usr/bin/python3")
    for name in ("eegd", "eegctl"):
        script = binaries / name
        text = f"#!/opt/eegd/bin/python\nimport sys\nfrom eegd.cli.{name} import main\nsys.exit(main())\n"
        script.write_text(text, encoding="utf-8")
        script.chmod(0o755)
    config = f"home = /usr/bin\ninclude-system-site-packages = true\nversion = {version}\n"
    (overlay / VENV / "pyvenv.cfg").write_text(config, encoding="utf-8")
    shutil.copy(AGENT, overlay / "opt" / "agent.py")
    units = overlay / "etc/systemd/system"
    units.mkdir(parents=True)
    (units / "eegd-agent.service").write_text(AGENT_UNIT, encoding="utf-8")


def initial_ram_disk(linux: Kernel) -> Path:
    """busybox and the drivers of the disk; some 2 MB."""
    made, mark = BUILD / "initrd.gz", BUILD / "initrd.key"
    key = key_of(linux.release, INIT, " ".join(MODULES))
    if made.exists() and is_made(mark, key):
        return made
    with tempfile.TemporaryDirectory(prefix="eegd-initrd-") as scratch:
        tree = Path(scratch)
        (tree / "bin").mkdir()
        (tree / "modules").mkdir()
        busybox = shutil.which("busybox")
        assert busybox is not None
        shutil.copy(busybox, tree / "bin" / "busybox")
        order = module_files(linux)
        for path in order:
            target = tree / "modules" / path.name.removesuffix(".xz")
            if path.suffix == ".xz":
                with target.open("wb") as out:
                    out.write(unpacked_xz(path))
            else:
                shutil.copy(path, target)
        (tree / "order").write_text("".join(f"{path.name.removesuffix('.xz')}\n" for path in order), encoding="utf-8")
        (tree / "init").write_text(INIT, encoding="utf-8")
        (tree / "init").chmod(0o755)
        run(["sh", "-c", f"find . | cpio -o -H newc --quiet | gzip -1 >'{made}'"], cwd=tree)
    mark.write_text(key, encoding="utf-8")
    return made


def module_files(linux: Kernel) -> list[Path]:
    """The files of MODULES and of all that they need, each after what it needs."""
    files: list[Path] = []
    for module in MODULES:
        text = run(["modprobe", "-d", linux.base, "-S", linux.release, "--show-depends", module])
        files += [Path(path) for path in re.findall(r"^insmod (\S+)", text, flags=re.M)]
    return list(dict.fromkeys(files))


def unpacked_xz(path: Path) -> bytes:
    import lzma

    return lzma.decompress(path.read_bytes())
