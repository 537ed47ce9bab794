import pytest

from fashionfae_lavis.prepare.downloads import Downloads, is_address


@pytest.fixture
def downloads(tmp_path):
    for path in ("1234.jpg", "a/b/red coat.jpg", "5.jpg?v=3", "p/1/1.jpg", "p/2/1.jpg", "H%C3%BCte.png", "deep/er/9"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    return Downloads(tmp_path)


@pytest.mark.parametrize(
    ("address", "file"),
    [
        ("https://cdn.shop.com/a/b/1234.jpg?v=3", "1234.jpg"),
        ("//cdn.shop.com/1234.jpg#top", "1234.jpg"),
        ("https://cdn.shop.com/red%20coat.jpg", "a/b/red coat.jpg"),
        ("https://cdn.shop.com/5.jpg?v=3", "5.jpg?v=3"),
        ("https://cdn.shop.com/Hu%CC%88te.png", "H%C3%BCte.png"),  # the letter and its dots apart
        ("https://cdn.shop.com/p/2/1.jpg", "p/2/1.jpg"),
        ("https://cdn.shop.com/9", "deep/er/9"),
    ],
)
def test_addresses_are_matched_by_the_name_of_the_file(downloads, address, file):
    assert downloads.find(address) == (file, "") and downloads.matched == 1


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("https://cdn.shop.com/77.jpg?v=3", "is a web address without a file: none is called 77.jpg"),
        ("https://cdn.shop.com/1.jpg", "is a web address of several files: p/1/1.jpg, p/2/1.jpg"),
        ("https://cdn.shop.com/", "is a web address without a file name"),
        ("https://cdn.shop.com/..%2f..%2fpasswd", "is a web address without a file: none is called passwd"),
    ],
)
def test_what_no_file_or_several_match_is_a_problem(downloads, address, problem):
    assert downloads.find(address) == (address, problem) and downloads.matched == 0


def test_addresses():
    assert [is_address(name) for name in ("http://a/1.jpg", "//a/1.jpg", "/a/1.jpg", "a/1.jpg")] == [1, 1, 0, 0]
