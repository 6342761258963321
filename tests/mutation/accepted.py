"""Mutants that no test finds, and why that is no fault: survivors.txt beside this file."""

from __future__ import annotations

from pathlib import Path

__all__ = ["accepted"]

LIST = Path(__file__).with_name("survivors.txt")


def accepted(name: str) -> dict[str, str]:
    """Give the reasons for the survivors of one file.

    In the list a line that begins with `[` names the file, one without a space in front names a survivor, and the
    lines after it, which have one, tell the reason.
    """
    reasons: dict[str, str] = {}
    here, key = False, ""
    for line in LIST.read_text().splitlines():
        if line.startswith("["):
            here = line == f"[{name}]"
        elif here and line and not line.startswith(("#", " ")):
            key = line
            reasons[key] = ""
        elif here and line.startswith(" "):
            reasons[key] = f"{reasons[key]} {line.strip()}".strip()
    return reasons
