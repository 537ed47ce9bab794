import re
import threading
import time

import psycopg
import pytest
from indexed_shop import directions, products

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.search.index import create_index, open_index


def administrate(server, *statements, database="postgres"):
    with psycopg.connect(server.url(database=database), autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


def test_a_server_that_cannot_be_reached(tmp_path):
    with pytest.raises(UserError, match="cannot be reached .*: check the URL, and that the server runs") as error:
        open_index(f"postgresql://shop:secret@/fashion?host={tmp_path}")
    assert "secret" not in str(error.value) and "\n" not in str(error.value)


def test_an_unknown_database_schema_or_index(server, url):
    with pytest.raises(UserError, match="cannot be reached .*nothing"):
        open_index(server.url(database="nothing"))
    with pytest.raises(UserError, match="has no schema that exists"):
        create_index(server.url("nothing"), products(3))
    with pytest.raises(UserError, match="holds no index: create one"):
        open_index(url)


def test_missing_rights(server, url):
    administrate(server, "DROP ROLE IF EXISTS guest", "CREATE ROLE guest LOGIN", "CREATE DATABASE without_vectors")
    with pytest.raises(UserError, match="let an administrator run `CREATE EXTENSION vector`"):
        create_index(server.url(role="guest", database="without_vectors"), products(3))
    create_index(url, products(3))
    guest = url.replace("postgres@", "guest@")
    with pytest.raises(UserError, match="has no schema that exists"):
        open_index(guest)
    schema = re.search("search_path%3D(s[0-9]+)", guest).group(1)
    administrate(
        server, f"GRANT USAGE ON SCHEMA {schema} TO guest", f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO guest"
    )
    reader = open_index(guest)
    assert len(reader.nearest(directions(1)[0], 5)) == 3
    with pytest.raises(UserError, match="permission denied .*: grant the role this right"):
        reader.delete(["it's 00000"])
    assert reader.info.rows == 3


def test_two_schemas_hold_two_indexes(server, url):
    create_index(url, products(3))
    other = url.replace("search_path%3Ds", "search_path%3Dother_s")
    administrate(server, f"CREATE SCHEMA {re.search('search_path%3D([a-z_0-9]+)', other).group(1)}")
    create_index(other, products(5))
    assert (open_index(url).info.rows, open_index(other).info.rows) == (3, 5)


def test_an_index_in_a_later_schema_of_the_search_path_is_another(server, url):
    schema = re.search("search_path%3D(s[0-9]+)", url).group(1)
    administrate(server, f"CREATE SCHEMA first_{schema}")
    later = create_index(url, products(3))
    both = server.url(f"first_{schema},{schema}")
    with pytest.raises(UserError, match="holds no index"):
        open_index(both)
    assert create_index(both, products(5), replace=True).info.rows == 5
    assert later.info.rows == 3


def test_a_replacement_waits_for_a_reader_that_has_begun(url):
    reader = create_index(url, products(3))
    replacement = threading.Thread(target=create_index, args=(url, products(5), True))
    with reader._reading() as connection:  # has read the index's description
        replacement.start()
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation IS NOT NULL"
        while not connection.execute(waiting).fetchone()["count"]:
            assert replacement.is_alive()
            time.sleep(0.01)
        # Had the replacement locked the products already, each would now wait for the other.
        assert connection.execute("SELECT count(*) FROM fashionfae_products").fetchone()["count"] == 3
    replacement.join()
    assert reader.info.rows == open_index(url).info.rows == 5


def test_a_lost_connection_is_replaced(server, url):
    index = create_index(url, products(3))
    ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid != pg_backend_pid()"
    administrate(server, f"{ended} AND backend_type = 'client backend'")
    with pytest.raises(UserError, match="The connection .* failed .*: run the command again"):
        index.nearest(directions(1)[0], 3)
    assert len(index.nearest(directions(1)[0], 3)) == 3
