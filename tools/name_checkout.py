# SPDX-License-Identifier: MIT
"""Puts this checkout on the environment's path, after an editable install.

The install's own finder comes after the path: to a script beside a checkout that is called eegd, the folder itself
would else look like an (empty) package of that name.
"""

from __future__ import annotations

import sysconfig
from pathlib import Path

checkout = Path(__file__).resolve().parent.parent
Path(sysconfig.get_path("purelib"), "eegd_checkout.pth").write_text(f"{checkout}\n", encoding="utf-8")
