"""What `pip install .` says: the project runs from its folder. A build backend (PEP 517) that builds nothing."""

HINT = ("miniature-memory runs from its own folder, where its data and its models are, and is not installed with pip.\n"
        "Fix: ./setup.sh, then python3 run.py")


def get_requires_for_build_wheel(config_settings: object = None) -> list[str]:
    raise SystemExit(HINT)


build_wheel = build_sdist = build_editable = get_requires_for_build_editable = get_requires_for_build_wheel
