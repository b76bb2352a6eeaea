"""What --status, --doctor and the audit find, and how it is fixed."""

import typing

OK, NOTE, BAD = "ok", "note", "BAD"  # a note is worth knowing; what is bad stops a run


class Finding(typing.NamedTuple):
    """Something that --status or --doctor reports, and what a person can do about it."""

    name: str
    level: str
    found: str
    fix: str = ""
