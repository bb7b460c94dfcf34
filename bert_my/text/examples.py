"""Examples: rows of a data set as text."""

from typing import NamedTuple, Optional, Sequence, Union


class Example(NamedTuple):
    """One text or a pair of texts; `label` is None if it is not known."""

    text_a: str
    text_b: Optional[str] = None
    label: Optional[str] = None
    guid: str = ""
    group: Union[int, str] = ""  # of tasks that rank rows within groups


class Sentence(NamedTuple):
    """One sentence of tokens; `tags` is None if they are not known."""

    tokens: Sequence[str]
    tags: Optional[Sequence[str]] = None
    guid: str = ""
    line: int = 0  # of its first token, from 1; 0 for none
    is_one_line: bool = False

    def line_of(self, index):
        """Returns the line of a token, given by its number from 0."""
        return self.line if self.is_one_line else self.line + index
