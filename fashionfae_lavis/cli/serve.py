"""`fashionfae serve`: answers searches over HTTP, for programs and with a page for people."""

import os

LOOPBACK = ("127.0.0.1", "::1", "localhost")
TOKEN = "FASHIONFAE_TOKEN"


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
) -> None:
    """Serves until SIGINT or SIGTERM, and then answers the requests that have arrived."""
    from fashionfae_lavis.errors import UserError
    from fashionfae_lavis.search.query import Searcher

    try:
        import uvicorn

        from fashionfae_lavis.search.server import Settings, create_app
    except ModuleNotFoundError as error:
        raise UserError(f'{error.name} is not installed: run `pip install "fashionfae-lavis[serve]"`.') from error
    if not 0 < port < 65536:
        raise UserError(f"--port is {port}, but must be from 1 to 65535.")
    if max_upload_mb <= 0 or queue < 1:
        raise UserError("--max-upload-mb and --queue must be greater than 0.")
    searcher = Searcher.open(index, model)
    settings = Settings(token=token or None, most_bytes=int(max_upload_mb * 1024**2), places=queue)
    print(_where(host, port, settings.token is not None), flush=True)
    uvicorn.run(create_app(searcher, settings), host=host, port=port, access_log=False, timeout_graceful_shutdown=15)


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
