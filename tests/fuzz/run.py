"""The fuzz test: ``python -m fuzz.run --minutes 10``, or a few seconds of it among the tests."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from random import Random

from fuzz.children import first_failure
from wsvis.errors import MAX_LINE, InputError

BATCH = 40
"""Cases in one child."""


def fuzz(seconds: float, seed: int, keep: Path) -> tuple[dict[str, int], list[str]]:
    """Try unsound files on every reader in turn.

    Args:
        seconds: in all.
        seed: of every choice; a case is named by target, seed and number.
        keep: folder for the files that a reader failed at.

    Returns:
        Cases tried by target, and a description of each failure.
    """
    os.environ["OMP_NUM_THREADS"] = "1"
    import cv2

    from fuzz.targets import TARGETS, make_sound_files

    cv2.setNumThreads(0)
    tried, failures = dict.fromkeys(TARGETS, 0), []
    end = time.monotonic() + seconds
    with tempfile.TemporaryDirectory() as place:
        sound = Path(place) / "sound"
        sound.mkdir()
        work = Path(place) / "work"
        _, _, reason = first_failure(range(1), lambda _: make_sound_files(sound), end + 600)
        if reason:
            return tried, [f"the sound files could not be made: {reason}"]
        while time.monotonic() < end:
            for name in TARGETS:
                share = time.monotonic() + max(0.5, seconds / len(TARGETS) / 8)
                cases = range(tried[name], tried[name] + BATCH)
                begun, last, reason = first_failure(
                    cases,
                    lambda number, name=name: try_case(name, seed, number, sound, work),
                    share,
                )
                tried[name] += begun
                if reason:
                    kept = keep / f"{name}-{seed}-{last}"
                    shutil.copytree(work, kept, dirs_exist_ok=True)
                    failures.append(f"{name}, seed {seed}, case {last} (files: {kept}): {reason}")
    return tried, failures


def try_case(name: str, seed: int, number: int, sound: Path, work: Path) -> None:
    """Make one file unsound and read it; anything but success or one line is an error."""
    from fuzz.targets import TARGETS

    target, source = TARGETS[name], Random(f"{name}/{seed}/{number}")
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(sound, work)
    changed = source.choice(list(target.files))
    if number:  # the first case is the sound file itself
        path = work / changed
        path.write_bytes(target.files[changed](path.read_bytes(), source))
    before = set(work.rglob("*"))
    refused: InputError | SystemExit | None = None
    try:
        target.read(work, changed)
    except (InputError, SystemExit) as error:
        refused = error
    message = str(refused or "")
    assert number or not refused, f"the sound file is refused: {message}"
    assert isinstance(refused, InputError | None) or refused.code == 2, message
    assert len(message) <= MAX_LINE, message
    assert message.isprintable(), message
    after = set(work.rglob("*"))
    partial = [path for path in after - before if refused or path.suffix == ".part"]
    assert not partial, f"{partial} are left: {message}"


def main() -> None:
    """Entry point of ``make fuzz``."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--minutes", type=float, default=10)
    options.add_argument("--seed", type=int, default=int(time.time()))
    options.add_argument("--keep", type=Path, default=Path("fuzz-failures"))
    given = options.parse_args()
    tried, failures = fuzz(60 * given.minutes, given.seed, given.keep)
    print("seed", given.seed, *(f"{name}: {count}" for name, count in tried.items()))
    for failure in failures:
        print(failure)
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
