import pytest

from fashionfae_lavis.cli import main
from fashionfae_lavis.cli.serve import _where


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--port", "0"], "--port is 0, but must be from 1 to 65535."),
        (["--max-upload-mb", "0"], "--max-upload-mb and --queue must be greater than 0."),
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
