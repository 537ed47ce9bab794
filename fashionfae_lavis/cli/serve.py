"""`fashionfae serve`: answers searches over HTTP, for programs and with a page for people."""

import os
import socket
from contextlib import suppress

from fashionfae_lavis.errors import UserError

LOOPBACK = ("127.0.0.1", "::1", "localhost")
TOKEN = "FASHIONFAE_TOKEN"
LARGEST = 1000  # MB of an upload, which is kept in memory


def add_parser(commands) -> None:
    """Declares the arguments."""
    text = "Serve an index over HTTP: an API for programs and a search page for people."
    parser = commands.add_parser("serve", help=text, description=text)
    parser.add_argument("index", metavar="INDEX", help="folder or URL of `fashionfae index`")
    parser.add_argument("--model", help="model of the index's vectors (default: the one that the index names)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1, this machine)")
    parser.add_argument("--port", type=int, default=8000, help="port to listen on (default 8000)")
    parser.add_argument(
        "--token", default=os.environ.get(TOKEN), help=f"secret that clients must show (default: ${TOKEN}, or none)"
    )
    parser.add_argument("--max-upload-mb", type=float, default=10, help="largest photograph in MB (default 10)")
    parser.add_argument("--queue", type=int, default=64, help="requests at once; more get status 503 (default 64)")
    parser.set_defaults(run=run)


def run(
    index: str, model: str | None, host: str, port: int, token: str | None, max_upload_mb: float, queue: int
) -> int:
    """Serves until SIGINT or SIGTERM, and then answers the requests that have arrived."""
    from fashionfae_lavis.search.query import Searcher

    try:
        import uvicorn

        from fashionfae_lavis.search.server import Settings, create_app
    except ModuleNotFoundError as error:
        raise UserError(f'{error.name} is not installed: run `pip install "fashionfae-lavis[serve]"`.') from error
    if not 0 < port < 65536:
        raise UserError(f"--port is {port}, but must be from 1 to 65535.")
    if not 0 < max_upload_mb <= LARGEST or queue < 1:
        raise UserError(f"--max-upload-mb and --queue must be greater than 0, and --max-upload-mb {LARGEST} at most.")
    token = token and token.strip()  # as clients send it
    if token == "":
        raise UserError(f"The token is empty: give a secret in --token or {TOKEN}, or leave out both.")
    settings = Settings(token=token, most_bytes=int(max_upload_mb * 1024**2), places=queue)
    app = create_app(Searcher.open(index, model), settings)
    server = uvicorn.Server(uvicorn.Config(app, access_log=False, timeout_graceful_shutdown=15))
    with _listening(host, port) as listener, suppress(KeyboardInterrupt):
        print(_where(host, port, token is not None), flush=True)
        server.run([listener])
    return 0 if server.started else 1


def _listening(host: str, port: int) -> socket.socket:
    """Listens to an address; raises UserError if that is not possible."""
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except (OSError, UnicodeError) as error:  # UnicodeError: a host with an empty or long label
        raise UserError(
            f"Cannot listen to --host {host} --port {port} ({getattr(error, 'strerror', None) or error}): use an "
            "address of this machine and a free port."
        ) from error


def _where(host: str, port: int, token: bool) -> str:
    """Returns the lines that say where the server is and who can reach it."""
    address = f"http://{f'[{host}]' if ':' in host else host}:{port}/"
    if host in LOOPBACK:
        reach = "Only this machine can reach it; --host 0.0.0.0 lets others."
    elif token:
        reach = "Other machines can reach it, with the token. Put a proxy with TLS in front, which hides the token."
    else:
        reach = "Everybody who reaches this machine can search and upload photographs; --token asks for a secret."
    return f"Search page: {address}\n{reach}"
