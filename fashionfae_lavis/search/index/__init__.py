"""Indexes of products: a folder or object store kept by LanceDB, or a PostgreSQL database with pgvector."""

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.search.index.base import Contents, Hit, Index, IndexFailed, IndexInfo
from fashionfae_lavis.search.vectors import Vectors

__all__ = ["Contents", "Hit", "Index", "IndexFailed", "IndexInfo", "create_index", "open_index"]


def create_index(location: str, vectors: Vectors, replace: bool = False) -> Index:
    """Creates an index.

    Args:
        location: folder or URL of an object store (`s3://`, `gs://`, `az://`) for LanceDB, or `postgresql://` URL.
        vectors: the products.
        replace: whether to replace an index that is there already; it stays as it is until the new one is complete.

    Raises:
        UserError: there is an index already, the location cannot be used, or the vectors are damaged.
    """
    if _is_postgres(location):
        from fashionfae_lavis.search.index import postgres

        return postgres.create(location, vectors, replace)
    from fashionfae_lavis.search.index import lance

    return lance.create(location, vectors, replace)


def open_index(location: str, digest: str | None = None) -> Index:
    """Opens an index.

    Args:
        location: as in `create_index`.
        digest: digest of the model that will query the index.

    Raises:
        UserError: there is no index, or it holds the vectors of another model.
    """
    if _is_postgres(location):
        from fashionfae_lavis.search.index import postgres

        index: Index = postgres.PostgresIndex(location)
    else:
        from fashionfae_lavis.search.index import lance

        index = lance.LanceIndex(location)
    info = index.info
    if digest is not None and digest != info.digest:
        raise UserError(
            f"{info.location} holds vectors of the model {info.model} ({info.digest}), not of this one ({digest}): "
            "use that model, or embed the products with this one and replace the index."
        )
    return index


def _is_postgres(location: str) -> bool:
    if not location:
        raise UserError("The location of the index is empty: name a folder, such as shop.index, or a URL.")
    return location.startswith(("postgresql://", "postgres://"))
