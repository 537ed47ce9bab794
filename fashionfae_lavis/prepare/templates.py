"""Templates: texts with columns of the table in braces, such as `{sku}_*.jpg` or `{brand} {type}`."""

from string import Formatter

from fashionfae_lavis.errors import UserError

Pieces = list[tuple[str, str | None]]


def pieces(template: str) -> Pieces:
    """Splits a template into literal texts, each with the column in braces that follows it.

    Raises:
        ValueError: the template is malformed.
    """
    found = []
    for text, column, format_spec, conversion in Formatter().parse(template):
        if format_spec or conversion:
            raise ValueError("braces hold nothing but the name of a column")
        found.append((text, column))
    return found


class TitleTemplate:
    """Composes a title such as `{brand} {colour} {type}` from columns.

    Args:
        template: the template.
        columns: the table's columns.

    Attributes:
        columns: the columns in braces.

    Raises:
        UserError: the template is malformed, or names an unknown column or none.
    """

    def __init__(self, template: str, columns: list[str]):
        try:
            self._pieces = pieces(template)
        except ValueError as error:
            raise UserError(f"--title {template} is malformed ({error}): write it like {{brand}} {{type}}.") from error
        self.columns = [column for _, column in self._pieces if column is not None]
        unknown = [column for column in self.columns if column not in columns]
        if unknown:
            raise UserError(
                f"--title {template}: the table has no column {unknown[0]!r}; use one of {', '.join(columns[:30])}."
            )
        if not self.columns:
            raise UserError(f"--title {template} must have a column in braces, like {{brand}} {{type}}.")

    def title(self, texts: dict[str, str]) -> str:
        """Returns the title with the texts of the columns, "" if all are empty; empty ones leave no extra spaces."""
        if not any(texts.get(column) for column in self.columns):
            return ""
        filled = "".join(text + texts.get(column or "", "") for text, column in self._pieces)
        return " ".join(filled.split()).strip(" ,-/|")
