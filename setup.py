# SPDX-License-Identifier: MIT
"""What pyproject.toml cannot say: the C core, and the list of packages."""

from __future__ import annotations

import os

from setuptools import find_packages, setup

# `make setup` builds the core by itself, again whenever native/ changes; it wants only the rest from here.
WITHOUT_CORE = "EEGD_WITHOUT_CORE" in os.environ

setup(
    # Plugins live in the folder `plugins`, one file each, and are installed as the package `eegd_plugins`.
    # Files of boards are in the folder `config/boards`, and are installed beside the program.
    packages=[*find_packages(include=["eegd", "eegd.*"]), "eegd_plugins", "eegd.board_files"],
    package_dir={"eegd_plugins": "plugins", "eegd.board_files": "config/boards"},
    package_data={"eegd.board_files": ["*.toml"]},
    cffi_modules=[] if WITHOUT_CORE else ["native/build.py:ffibuilder"],
    # The core keeps to the stable ABI: one wheel serves every Python from 3.11 on.
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
