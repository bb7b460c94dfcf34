"""Tags of entities: their schemes and types."""

import re

# How tags such as "B-PER" say where in an entity a token stands, besides O for outside.
_SCHEMES = {"BIO": "BI", "BIOES": "BIES", "BMES": "BMES", "BILOU": "BILU"}
_OUTSIDE = "O"
_TAG_OF_AN_ENTITY = re.compile("[BIESMLU]-.+")
# The same with other marks, or with the type first.
_ALMOST_OF_AN_ENTITY = re.compile("[BIESMLU][-_/.:].+|.+[-_/.:][BIESMLU]")


def find_scheme(tags):
    """Returns (name of the scheme of a set of tags, sorted list of the types).

    The name is BIO, BIOES, BMES or BILOU, or None for tags that do not mark entities,
    such as parts of speech.
    """
    parts = [tag.partition("-") for tag in tags if tag != _OUTSIDE]
    prefixes = {prefix for prefix, _, _ in parts}
    for name, known in _SCHEMES.items():
        if prefixes and prefixes <= set(known):
            return name, sorted({entity_type for _, _, entity_type in parts} - {""})
    return None, []


def complete(tags):
    """Returns the set of tags with those of their scheme that no token happens to have.

    A type that occurs may have any of the scheme's prefixes in other files.
    """
    scheme, _ = find_scheme(tags)
    # "-PER", or "" for tags without a type.
    types = {tag[len(tag.partition("-")[0]) :] for tag in tags if tag != _OUTSIDE}
    prefixes = _SCHEMES.get(scheme, "")
    return set(tags) | {prefix + each for prefix in prefixes for each in types}


def odd_tags(tags):
    """Returns the sorted tags that keep a set from being of a scheme.

    Empty if there is a scheme, or if no more than half of the tags look like "B-PER",
    or almost so, as "B_PER" and "PER-B" do. All, if each has some scheme.
    """
    marks = sorted(set(tags) - {_OUTSIDE})
    num_alike = sum(bool(_ALMOST_OF_AN_ENTITY.fullmatch(tag)) for tag in marks)
    if find_scheme(tags)[0] is not None or 2 * num_alike <= len(marks):
        return []
    return [tag for tag in marks if not _TAG_OF_AN_ENTITY.fullmatch(tag)] or marks
