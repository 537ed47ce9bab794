# Sourced by the other scripts. Makes .venv with the tested versions (once; minutes and about 7 GB), and leaves
# the caller in the repository root with .venv's programs first on PATH.
# PYTHON=/path/to/python chooses the Python for a new .venv; remove .venv to change it later.
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
    echo "Python 3.10 or 3.11 with its venv module is needed, and none of these is one: ${candidates[*]}" >&2
    echo "(PYTHON=/path/to/python3.11 $0 uses one that is not on PATH)" >&2
    return 1
}

# What is installed depends on these files and on this folder, which an editable install points to.
wanted="$(cat constraints.txt pyproject.toml autoload/* | cksum) $PWD"
if [ "$(cat .venv/installed 2>/dev/null)" != "$wanted" ]; then
    # .venv-unfinished outlives an interrupted install; what that left behind is not worth repairing.
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
