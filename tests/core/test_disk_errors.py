"""python3 -m pytest tests/core/test_disk_errors.py: what the disk refuses is named, and the fix mends it."""

import errno
import os
import subprocess
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from miniature_memory.core.errors import StageError, cannot_read, cannot_write, disk_error, naming

NOBODY = 65534


def as_a_user(work: Callable[[], None]) -> None:
    """Run `work` in a child without the powers of root, to whom all files are open."""
    child = os.fork()
    if not child:
        try:
            if not os.geteuid():
                os.setgroups([])
                os.setresgid(NOBODY, NOBODY, NOBODY)
                os.setresuid(NOBODY, NOBODY, NOBODY)
            work()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder of that user, whose name needs quotes in a shell."""
    for folder in (tmp_path, *(above for above in tmp_path.parents if above.name.startswith(("pytest-", "popen-")))):
        folder.chmod(0o755)
    root = tmp_path / "it's mine"
    root.mkdir()
    if not os.geteuid():
        os.chown(root, NOBODY, NOBODY)
    return root


def follow(error: StageError | None) -> None:
    assert error
    subprocess.run(error.fix.partition(", ")[0], shell=True, check=True)


def refusal(work: Callable[[], object]) -> OSError:
    with pytest.raises(OSError) as error:
        work()
    return error.value


def test_a_file_that_may_not_be_read_is_not_called_unwritable(root: Path) -> None:
    def work() -> None:
        path = root / "a file"
        path.write_text("text")
        path.chmod(0)
        error = refusal(path.read_text)
        for known in (disk_error(error), cannot_read(path, error)):
            assert known and "written" not in known.found and "Permission denied" in known.found
            assert known.fix.startswith("chmod u+rwX ") and str(path)[-6:] in known.fix
        follow(disk_error(error))
        assert path.read_text() == "text"

    as_a_user(work)


def test_the_folder_that_is_closed_is_the_one_that_is_opened(root: Path) -> None:
    def work() -> None:
        path = root / "one" / "two" / "file"
        path.parent.mkdir(parents=True)
        path.parents[1].chmod(0)
        follow(disk_error(refusal(path.read_text)))
        path.parent.chmod(0o500)
        follow(cannot_write(path, refusal(lambda: path.write_text("text"))))
        path.write_text("text")

    as_a_user(work)


def test_what_another_user_owns_is_taken_over_only_below_a_folder_of_ones_own(root: Path) -> None:
    def work() -> None:
        error = PermissionError(errno.EACCES, "Permission denied")
        assert "sudo" not in cannot_write("/usr/x", error).fix
        theirs = root / "theirs"
        if theirs.exists():
            known = cannot_write(theirs / "file", refusal(lambda: (theirs / "file").write_text("text")))
            assert known.fix.startswith("sudo chown -R ") and "&& chmod -R u+rwX" in known.fix

    if not os.geteuid():
        (root / "theirs").mkdir()
        (root / "theirs").chmod(0o700)
    as_a_user(work)


@pytest.mark.parametrize("taken", [False, True])
def test_a_folder_in_the_place_of_a_file_is_moved_aside(root: Path, taken: bool) -> None:
    path = root / "a file"
    path.mkdir()
    if taken:
        (root / "a file.aside").touch()
    error = disk_error(refusal(lambda: path.write_text("text")))
    assert error and error.found == f"{path} is a folder."
    follow(error)
    path.write_text("text")


def test_a_folder_in_the_way_of_a_renaming_is_the_one_that_is_named(root: Path) -> None:
    (root / "new").touch()
    (root / "old").mkdir()
    error = disk_error(refusal(lambda: (root / "new").replace(root / "old")))
    assert error and error.found == f"{root / 'old'} is a folder."


def test_a_file_in_the_place_of_a_folder_is_moved_aside(root: Path) -> None:
    path = root / "a folder" / "deeper" / "file"
    path.parents[1].write_text("a file")
    for error in (refusal(path.read_text), refusal(lambda: path.parents[1].mkdir(exist_ok=True))):
        known = cannot_write(error.filename, error)
        assert known.found == f"{path.parents[1]} is a file."
    follow(known)
    path.parent.mkdir(parents=True)


@pytest.mark.parametrize(("number", "found", "fix"), [
    (errno.ENOSPC, "There is no space left for {}.", "make room"),
    (errno.EFBIG, "{} has reached the largest size", "ulimit -f"),
    (errno.EIO, "{} cannot be read or written", "check the disk")])
def test_an_error_of_writing_names_its_file(root: Path, number: int, found: str, fix: str) -> None:
    with pytest.raises(OSError) as error, naming(root / "file"):
        raise OSError(number, os.strerror(number))
    known = disk_error(error.value)
    assert known and known.found.startswith(found.format(root / "file")) and known.fix.startswith(fix)


def test_what_has_nothing_to_do_with_the_disk_stays_a_bug() -> None:
    assert disk_error(FileNotFoundError(errno.ENOENT, "No such file or directory", "x")) is None
    assert disk_error(PermissionError(errno.EACCES, "Permission denied")) is None
