# Sourced by the other scripts. Creates .venv with the tested versions (once; takes minutes and about 7 GB), changes to
# the repository root and puts .venv's programs first on PATH.
# PYTHON=/path/to/python chooses the Python for a new .venv. To change it later, remove .venv.
cd "$(dirname "${BASH_SOURCE[0]}")/.."

find_python() {
    local candidates=(python3.11 python3.10 python3 python) candidate
    [ -z "${PYTHON:-}" ] || candidates=("$PYTHON")
    for candidate in "${candidates[@]}"; do
        if "$candidate" -c 'import ensurepip, sys; sys.exit(sys.version_info[:2] not in ((3, 10), (3, 11)))' \
            >/dev/null 2>&1; then
            echo "$candidate"
            return
        fi
    done
    echo "No Python 3.10 or 3.11 with the venv module found among: ${candidates[*]}" >&2
    echo "Set PYTHON=/path/to/python3.11 to use one that is not on PATH." >&2
    return 1
}

# The installation depends on these files and, because it is editable, on this folder.
wanted="$(cat constraints.txt pyproject.toml autoload/* | cksum) $PWD"
if [ "$(cat .venv/installed 2>/dev/null)" != "$wanted" ]; then
    # .venv-unfinished remains after an interrupted installation, which is then repeated from the start.
    if [ -e .venv-unfinished ] || [ ! -x .venv/bin/python ]; then
        python="$(find_python)"
        touch .venv-unfinished
        "$python" -m venv --clear .venv
    fi
    touch .venv-unfinished
    .venv/bin/python -m pip install -c constraints.txt -e '.[test]'
    echo "$wanted" >.venv/installed
    rm .venv-unfinished
fi
export PATH="$PWD/.venv/bin:$PATH"
