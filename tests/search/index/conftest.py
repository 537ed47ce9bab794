import os
import shutil
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import pytest

ADMINISTRATOR = "postgres"


class Server:
    """A PostgreSQL server with pgvector, which listens to a socket in its folder only."""

    def __init__(self, folder):
        self.programs = Path(find_spec("pgserver").origin).parent / "pginstall" / "bin"
        self.folder = folder
        # PostgreSQL refuses to run as root.
        self.user = {"user": "nobody", "extra_groups": []} if os.geteuid() == 0 else {}

    def run(self, program, *arguments):
        command = [self.programs / program, "-D", self.folder, *arguments]
        subprocess.run(command, check=True, cwd=self.folder, capture_output=True, timeout=60, **self.user)

    def start(self):
        if self.user:
            shutil.chown(self.folder, "nobody")
        self.run("initdb", "-U", ADMINISTRATOR, "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
        # Output to a file: the server would keep a pipe open.
        self.run("pg_ctl", "-w", "-o", f"-h '' -k {self.folder} -F", "-l", self.folder / "log", "start")

    def stop(self):
        self.run("pg_ctl", "-w", "-m", "immediate", "stop")

    def url(self, schema="public", role=ADMINISTRATOR, database="postgres"):
        path = quote(f"-csearch_path={schema}")
        return f"postgresql://{role}@/{database}?host={quote(str(self.folder))}&options={path}"


@pytest.fixture(scope="session")
def server():
    if os.name == "nt":
        pytest.skip("the server of the tests listens to a Unix socket")
    folder = Path(tempfile.mkdtemp(prefix="pg"))  # a socket's path has at most 107 characters
    server = Server(folder)
    try:
        server.start()
    except (OSError, LookupError, subprocess.CalledProcessError) as error:
        shutil.rmtree(folder)
        reason = getattr(error, "stderr", b"") or str(error).encode()
        pytest.skip(f"PostgreSQL cannot start here: {reason.decode(errors='replace').strip()}")
    yield server
    server.stop()
    shutil.rmtree(folder)


@pytest.fixture
def url(server, tmp_path):
    """URL of a database whose first schema is empty."""
    import psycopg

    schema = f"s{abs(hash(str(tmp_path)))}"
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {schema}")
    return server.url(schema)


@pytest.fixture(params=["lance", "postgres"])
def location(request, tmp_path):
    """Location of an index that does not exist yet, for each engine."""
    return str(tmp_path / "index é") if request.param == "lance" else request.getfixturevalue("url")
