import socket

import pytest

from fashionfae_lavis.cli import main
from fashionfae_lavis.cli.serve import _listening, _where
from fashionfae_lavis.errors import UserError


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--port", "0"], "--port is 0, but must be from 1 to 65535."),
        (["--max-upload-mb", "0"], "--max-upload-mb and --queue must be greater than 0"),
        (["--max-upload-mb", "nan"], "--max-upload-mb and --queue must be greater than 0"),
        (["--max-upload-mb", "inf"], "--max-upload-mb 1000 at most."),
        (["--token", " "], "The token is empty: give a secret in --token or FASHIONFAE_TOKEN, or leave out both."),
        ([], "no index"),
    ],
)
def test_wrong_arguments_are_one_sentence(arguments, message, tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["serve", str(tmp_path / "none"), *arguments])
    error = capsys.readouterr().err
    assert stop.value.code == 2 and message in error and error.count("\n") == 1


def test_the_server_says_who_can_reach_it():
    assert "http://127.0.0.1:8000/" in _where("127.0.0.1", 8000, False) and "Only this" in _where("::1", 80, True)
    assert "http://[::]:80/" in _where("::", 80, True) and "with the token" in _where("::", 80, True)
    assert "Everybody" in _where("0.0.0.0", 80, False)


def test_an_address_that_cannot_be_used_is_named():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(
            UserError, match=rf"--host 127.0.0.1 --port {port} \(Address already in use.*\): use an addr"
        ):
            _listening("127.0.0.1", port)
    with _listening("127.0.0.1", port) as listener:
        assert listener.getsockname()[1] == port
    for host in ("198.51.100.1", "a..b"):
        with pytest.raises(UserError, match=f"Cannot listen to --host {host}"):
            _listening(host, port)
