import pytest

pytest.importorskip("fastapi", reason="the server needs the extra `serve`")
