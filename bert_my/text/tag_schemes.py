"""Tags of entities: their schemes and types."""

import re

# How tags such as "B-PER" say where in an entity a token stands, besides O for outside.
_SCHEMES = {"BIO": "BI", "BIOES": "BIES", "BMES": "BMES", "BILOU": "BILU"}
_OUTSIDE = ("O", "o")
# Tags with a type may have small letters throughout; without one, as `s`, they are
# parts of speech.
_SMALL = re.compile("[biesmlu]-.+")
_TAG_OF_AN_ENTITY = re.compile("[BIESMLU]-.+")
# The same with other marks, or with the type first.
_ALMOST_OF_AN_ENTITY = re.compile("[BIESMLU][-_/.:].+|.+[-_/.:][BIESMLU]", re.I)
# Several tags in one: `B-ORG|B-LOC`, `I-DNA+O`.
_NESTED = re.compile(r"[BIESMLU]-.+?[|+,;/&](?:[BIESMLU]-.+|O)|O[|+,;/&]O", re.I)
_MARK = re.compile("[BIESMLU]")
# Types of the phrases that the CoNLL files of 2000 and 2003 have beside entities.
_CHUNKS = (
    "ADJP",
    "ADVP",
    "CONJP",
    "INTJ",
    "LST",
    "NP",
    "PP",
    "PRT",
    "SBAR",
    "UCP",
    "VP",
)
_CHUNKS += ("AC", "NC", "PC", "VC")


def _parts(tags):
    """Returns the list of (mark, "-" or "", type) of the tags that are not outside."""
    parts = [tag.partition("-") for tag in tags if tag not in _OUTSIDE]
    if parts and all(_SMALL.fullmatch("".join(each)) for each in parts):
        return [(mark.upper(), dash, kind) for mark, dash, kind in parts]
    return parts


def capital(tag):
    """Returns a tag of a scheme with a capital mark, by which tags are scored."""
    return tag[0].upper() + tag[1:] if tag == "o" or _SMALL.fullmatch(tag) else tag


def find_scheme(tags):
    """Returns (name of the scheme of a set of tags, sorted list of the types).

    The name is BIO, BIOES, BMES or BILOU, or None for tags that do not mark entities,
    such as parts of speech. All marks may be small letters if all tags have a type.
    """
    parts = _parts(tags)
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
    marks = [tag for tag in tags if tag not in _OUTSIDE]
    # "-PER", or "" for tags without a type.
    types = {tag[len(tag.partition("-")[0]) :] for tag in marks}
    prefixes = _SCHEMES.get(scheme, "")
    if all(map(_SMALL.fullmatch, marks)):
        prefixes = prefixes.lower()
    return set(tags) | {prefix + each for prefix in prefixes for each in types}


def odd_tags(tags):
    """Returns the sorted tags that keep a set from being of a scheme.

    Empty if there is a scheme, or if no more than half of the tags look like "B-PER",
    or almost so, as "B_PER" and "PER-B" do. All, if each has some scheme.
    """
    marks = sorted(set(tags) - set(_OUTSIDE))
    num_alike = sum(bool(_ALMOST_OF_AN_ENTITY.fullmatch(tag)) for tag in marks)
    if find_scheme(tags)[0] is not None or 2 * num_alike <= len(marks):
        return []
    return [tag for tag in marks if not _TAG_OF_AN_ENTITY.fullmatch(tag)] or marks


def nested_tags(tags):
    """Returns the list of the tags that consist of several, as of nested entities."""
    return [tag for tag in tags if _NESTED.fullmatch(tag)]


def has_type(tag):
    """Returns whether a word is a mark and a type, such as `B-PER`."""
    return bool(_TAG_OF_AN_ENTITY.fullmatch(tag))


def is_alike(tag):
    """Returns whether a word looks like a tag of entities: `O`, `B`, `B-PER`, `B_PER`.

    It may be a word all the same.
    """
    return bool(
        tag in _OUTSIDE or _MARK.fullmatch(tag) or _ALMOST_OF_AN_ENTITY.fullmatch(tag)
    )


def marking(tags):
    """Returns the list of the tags that look like those of parts of an entity."""
    return [tag for tag in tags if tag not in _OUTSIDE and is_alike(tag)]


def are_chunks(tags):
    """Returns whether the types of tags are those of phrases, such as `B-NP`."""
    return all(tag[2:] in _CHUNKS for tag in marking(tags))
