"""Prints what becomes of each fault: `python -m tests.faults.table`, or make test-faults."""

from __future__ import annotations

import logging
import sys

from eegd.errors import EegdError
from tests.faults.bench import Case, Result, run_case
from tests.faults.cases import CASES

HEADINGS = ("fault", "counted as", "lost", "wrong", "unexplained", "longest gap", "epochs")


def counted_as(result: Result) -> str:
    shown = {
        label: n for label, n in result.counted.items() if label.startswith(("bad.", "loss.m", "loss.la", "loss.o"))
    }
    shown |= {label: n for label, n in result.counted.items() if label in ("capture.extra_edges", "capture.stalls")}
    return ", ".join(f"{label.split('.')[1].replace('_', ' ')} {n}" for label, n in shown.items()) or "nothing"


def row_of(case: Case, result: Result) -> tuple[str, ...]:
    gap = f"{result.gap_s * 1000:.1f} ms" if result.gap_s < 1 else f"{result.gap_s:.2f} s"
    numbers = (result.lost, result.wrong, result.unexplained)
    return (case.name, counted_as(result), *(str(n) for n in numbers), gap, str(result.epochs))


def main() -> int:
    logging.getLogger("eegd").setLevel(logging.ERROR)
    rows: list[tuple[str, ...]] = [HEADINGS]
    failed = False
    for case in CASES:
        try:
            result = run_case(case)
        except (EegdError, AssertionError) as error:
            rows.append((case.name, f"{type(error).__name__}: {error}"[:60], "", "", "", "", ""))
            failed = True
            continue
        failed |= bool(result.wrong or result.unexplained)
        rows.append(row_of(case, result))
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    for row in rows:
        cells = [
            text.ljust(width) if column < 2 else text.rjust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
