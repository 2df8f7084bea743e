"""Fills the disk under a tiny training run, and makes it read-only, on a small file system in memory.

    python tests/soak_disk.py

Mounting it needs root, or a system that lets people mount in a name space of their own (unshare). The run must end
with one sentence and its last checkpoint whole, and go on once there is room again.
"""

import contextlib
import io
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from conftest import save_balanced, tiny_network, write_data
from training_runs import options

import train_segformer
from carmask.inference.model_folder import all_checkpoints
from carmask.training import loop
from carmask.training.checkpoints import read_checkpoint

MEGABYTES = 8
INSIDE = "SOAK_DISK_INSIDE"  # set where this runs in a name space already


def last_words(arguments: list) -> tuple[int, str]:
    """The exit code of the training program in this process, and the last line that it said."""
    sys.argv = ["train_segformer.py", *map(str, arguments)]
    with contextlib.redirect_stderr(io.StringIO()) as words:
        code = train_segformer.main()
    return code, words.getvalue().strip().splitlines()[-1]


def fill(disk: Path, room: int) -> None:
    """Leaves so many bytes of a disk free."""
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    (disk / "filler").write_bytes(bytes(free - room))


def soak(disk: Path, folder: Path) -> None:
    """Fills the disk between two checkpoints, clears it and resumes; then makes it read-only and resumes."""
    write_data(folder / "data", {"train": 6, "validation": 1})
    changes = {"steps": 4, "validate_every": 2, "crop": 32, "side": 32}
    start, output = save_balanced(tiny_network(), folder / "start"), disk / "model"
    whole = options(folder / "data", start, folder / "whole", **changes)
    assert last_words(whole)[0] == 0
    arguments, save = options(folder / "data", start, output, **changes), loop.save_checkpoint

    def save_and_fill(*given: object) -> None:
        save(*given)
        fill(disk, room=100_000)

    loop.save_checkpoint = save_and_fill
    code, words = last_words(arguments)
    loop.save_checkpoint = save
    print(words)
    assert code == 1
    assert "No space left" in words
    assert read_checkpoint(all_checkpoints(output)[0])[0]["step"] == 2
    (disk / "filler").unlink()
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    began = time.monotonic()
    code, words = last_words([*arguments, "--resume"])
    print(words)
    assert code == 1
    assert "cannot be written" in words
    assert time.monotonic() - began < 5
    subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
    assert last_words([*arguments, "--resume"])[0] == 0
    for name in ("model.safetensors", "scores.json"):
        assert (output / name).read_bytes() == (folder / "whole" / name).read_bytes(), f"{name} differs."


def may_unshare() -> bool:
    """Whether the system gives people a name space in which they are root."""
    return bool(shutil.which("unshare")) and subprocess.run(["unshare", "-rm", "true"], check=False).returncode == 0


def main() -> None:
    """Mounts the disk; where that takes root, starts again as the root of a name space."""
    with tempfile.TemporaryDirectory() as folder:
        disk = Path(folder) / "disk"
        disk.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={MEGABYTES}m", "tmpfs", disk]
        if subprocess.run(mount, capture_output=True, check=False).returncode:
            if INSIDE not in os.environ and may_unshare():
                again = ["unshare", "-rm", sys.executable, *sys.argv]
                sys.exit(subprocess.run(again, env=os.environ | {INSIDE: "1"}, check=False).returncode)
            sys.exit("The full disk was not tried: mounting a small one needs root, or unshare -rm.")
        try:
            soak(disk, Path(folder))
        finally:
            subprocess.run(["umount", disk], check=True)
    print("A full and a read-only disk were said in one sentence, and the run ended as if they had not been.")


if __name__ == "__main__":
    main()
