#!/bin/sh
# Prepares a checkout for the targets of the Makefile: .venv with exactly what requirements/dev.txt locks, and the
# compiled translations. Does nothing, in a few milliseconds, where all is as it should be.
#
#   PYTHON  the interpreter to build .venv from; otherwise the distribution's Python 3.11, or else the first on the PATH
set -eu
cd "$(dirname "$0")/.."

say() { echo "setup: $*"; }
die() { echo "setup: $*" >&2; exit 1; }

is_python_3_11() {
    [ "$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)" = 3.11 ]
}

can_make_environments() {
    "$1" -c 'import ensurepip, venv' 2>/dev/null
}

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        is_python_3_11 "$PYTHON" || die "PYTHON=$PYTHON is not a Python 3.11."
        echo "$PYTHON"
        return
    fi
    # Distributions build theirs with the compiler's profile, version managers often do not: theirs takes a third longer.
    # A name on the PATH may be a version manager's stand-in that runs nothing, so each is tried.
    for name in /usr/bin/python3.11 python3.11 python3 python /usr/local/bin/python3.11; do
        if is_python_3_11 "$name" && can_make_environments "$name"; then
            echo "$name"
            return
        fi
    done
    die "Python 3.11 with venv is needed and was not found. Install it (Debian: apt-get install python3.11 python3.11-venv)," \
        "or name it: make PYTHON=/path/to/python3.11"
}

install_packages() {
    python=$(find_python)
    if ! .venv/bin/python -c '' 2>/dev/null || ! is_python_3_11 .venv/bin/python; then
        can_make_environments "$python" ||
            die "$python lacks the modules venv and ensurepip. Debian: apt-get install python3.11-venv"
        say "creating .venv with $python"
        rm -rf .venv
        "$python" -m venv .venv
    fi
    say "installing the locked packages into .venv (about a minute, once)"
    .venv/bin/python -m pip --disable-pip-version-check -qq install --require-hashes -r requirements/dev.txt
    printf '%s' "$wanted" > .venv/.installed
}

# The path belongs to it: an environment that was moved does not work.
wanted="$(cksum < requirements/dev.txt) $PWD"
is_installed() { [ "$(cat .venv/.installed 2>/dev/null)" = "$wanted" ] && [ -x .venv/bin/python ]; }

if ! is_installed; then
    # Two first runs at once: the second waits, and then finds the work done.
    exec 9<requirements
    if command -v flock >/dev/null; then flock 9; fi
    is_installed || install_packages
    exec 9<&-
fi

for source in locale/*/LC_MESSAGES/*.po; do
    compiled=${source%.po}.mo
    if [ -f "$source" ] && { [ ! -f "$compiled" ] || [ "$source" -nt "$compiled" ]; }; then
        say "compiling $source"
        .venv/bin/python -m babel.messages.frontend --quiet compile -i "$source" -o "$compiled"
    fi
done
