"""What a case is, what every command must keep to, and how the fix that a message names is run."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.faults.machine import Done, Machine
from tests.faults.roots import Roots

CODES = (0, 1, 2, 75, 130, 143)
WORD = r"""(?:'[^']*'|"[^"]*"|[^\s,;()'"]*[^\s,;()'".:])"""
FIX_COMMAND = re.compile(
    rf"python3 [\w./-]+\.py(?: --(?:root|topic|only|set|config|explain) {WORD}| --[a-z-]+(?![\w-]))*"
    rf"|iconv -f {WORD} -t {WORD} {WORD} > {WORD}|mv {WORD} {WORD}|rm (?:-r )?{WORD}"
    rf"|(?:sudo )?chown -R \"\$\(id -u\)\" {WORD}|chmod (?:-R )?[\w+]+ {WORD}")
BAD_FINDING = re.compile(r'"level": "BAD", "found": "[^"]+", "fix": "[^"]')  # of run.py --doctor --json
BY_HAND = re.compile(r"from a copy|put back|restore|correct it|editor")


class Broken(Exception):
    """The project did not keep what it promises."""


class Skipped(Exception):
    """This machine does not allow a case; says why."""


class Case(NamedTuple):
    part: str
    name: str
    run: Callable[["Place"], str]  # returns in words what became of it; raises Broken


class Place(NamedTuple):
    """Where a case runs: alone on its machine, in a folder of its own."""

    machine: Machine
    roots: Roots
    folder: Path

    @property
    def root(self) -> Path:
        return self.folder / "root"

    def command(self, arguments: str, uid: int = 0) -> Done:
        """One of the scripts on the case's root. Raises Broken for what no command may do."""
        return checked(self.machine.run(f"python3 {arguments} --root {self.root}", uid))


def checked(done: Done) -> Done:
    if done.is_bug or done.code not in CODES:
        raise Broken(f"{done.command}: exit code {done.code}\n{done.output[-3000:]}")
    if done.code == 1 and "Fix:" not in done.output and not BAD_FINDING.search(done.output):
        raise Broken(f"{done.command}: failed without a fix\n{done.output[-2000:]}")
    return done


def fixes(message: str) -> list[str]:
    """The commands after each "Fix:", without those that want a choice of a person."""
    found = [command for part in message.split("Fix:")[1:] for command in FIX_COMMAND.findall(part.split("\n")[0])]
    return [command for command in dict.fromkeys(found) if "--texts" not in command and ".venv" not in command]
