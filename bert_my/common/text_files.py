"""Reading lines of text: encodings, compression, and formats that are no text."""

import codecs
import contextlib
import functools
import gzip
import io
import logging
import re
import zlib
from typing import Iterator, Tuple

from bert_my.common import files
from bert_my.common.errors import InputError

logger = logging.getLogger(__name__)

UTF8 = "utf-8-sig"  # UTF-8, with or without a byte-order mark


def is_encoding(name):
    """Returns whether a name is that of an encoding of text."""
    try:
        return codecs.lookup(name)._is_text_encoding
    except LookupError:
        return False


def read_lines(path, max_length=-1, encoding=UTF8) -> Iterator[Tuple[int, str]]:
    """Yields (line number, line without its end) of a text file, gzip or not.

    Lines end at "\\n" or "\\r\\n" only. A byte-order mark is left out. A file that
    begins with characters of UTF-8 is read as UTF-8, with a warning.

    Args:
      path: file.
      max_length: a longer line, in characters, comes in pieces that count as lines; -1
        for any length.
      encoding: of the text; "utf-8" gives a byte-order mark as part of the first line.

    Raises:
      InputError: if the file cannot be read, is of a format that is no text or is not
        in the encoding.
    """
    try:
        with contextlib.ExitStack() as stack:
            stream = stack.enter_context(_buffered(files.HashedFile(path)))
            if path.endswith(".gz"):
                if not stream.peek(2).startswith(_GZIP):
                    raise InputError(
                        f"{path}: this is no gzip file; take .gz off its name"
                    )
                stream = stack.enter_context(_buffered(gzip.GzipFile(fileobj=stream)))
            begin = stream.peek(_BUFFER_SIZE)
            _check_is_text(begin, encoding, path)
            if _is_other_than_utf8(begin, encoding):
                _warn_of_utf8(path, encoding)
                encoding = UTF8
            reader = io.TextIOWrapper(stream, encoding=encoding, newline="\n")
            lines = iter(functools.partial(reader.readline, max_length), "")
            for number, line in enumerate(lines, 1):
                yield number, line.rstrip("\r\n")
    except UnicodeError as error:
        reason = getattr(error, "reason", error)
        raise _wrong_encoding(path, encoding, reason) from error
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: cannot be read: {reason}") from error


_GZIP = b"\x1f\x8b"
_BUFFER_SIZE = 1 << 16
# First bytes of formats that are given for text -> the format, and a remedy. Letters of
# markup may be small.
_SIGNATURES = {
    b"PK\x03\x04": ("a zip archive or an Excel table (xlsx)", "save it as csv"),
    b"PK\x05\x06": ("an empty zip archive", "save its contents as csv"),
    b"\xd0\xcf\x11\xe0": ("an Excel table (xls)", "save it as csv"),
    b"PAR1": ("a Parquet file", "pandas.read_parquet(...).to_csv writes a csv"),
    b"ARROW1": ("an Arrow file", "pandas.read_feather(...).to_csv writes a csv"),
    b"Obj\x01": ("an Avro file", "write it as csv"),
    _GZIP: ("a gzip file", "end its name in .gz, as in train.csv.gz"),
    b"BZh": ("a bzip2 file", "unpack it"),
    b"\xfd7zXZ": ("an xz file", "unpack it"),
    b"\x28\xb5\x2f\xfd": ("a zstd file", "unpack it"),
    b"7z\xbc\xaf": ("a 7z archive", "unpack it"),
    b"Rar!": ("a rar archive", "unpack it"),
    b"\x89HDF": ("an HDF5 file", "write it as text"),
    b"\x93NUMPY": ("an array of numpy", "write it as text"),
    b"\x80\x02": ("a pickle", "write it as text"),
    b"\x80\x03": ("a pickle", "write it as text"),
    b"\x80\x04\x95": ("a pickle", "write it as text"),
    b"\x80\x05\x95": ("a pickle", "write it as text"),
    b"SQLite format 3": ("an SQLite database", "write its table as csv"),
    b"%PDF": ("a PDF", "write it as text"),
    b"\x89PNG": ("a picture", "write its text"),
    b"\xff\xd8\xff": ("a picture", "write its text"),
    b"{\\rtf": ("a Rich Text file", "save it as plain text"),
    b"version https://git-lfs": ("a pointer of Git LFS", "git lfs pull gets the file"),
    b"<!DOCTYPE html": ("a web page", "download the file itself"),
    b"<html": ("a web page", "download the file itself"),
    b"<?xml": ("XML", "write it as csv"),
}


def _buffered(stream):
    return io.BufferedReader(stream, _BUFFER_SIZE)


def _check_is_text(begin, encoding, path):
    """Raises an `InputError` for the first bytes of a format that is no text."""
    markup = begin[:100].lstrip().lower()
    for signature, (name, remedy) in _SIGNATURES.items():
        is_markup = signature[:1] == b"<" and markup.startswith(signature.lower())
        if begin.startswith(signature) or is_markup:
            raise InputError(f"{path}: this is {name}; {remedy}")
    if begin[257:262] == b"ustar":
        raise InputError(f"{path}: this is a tar archive; unpack it")
    if not _may_have_zeros(encoding) and _has_many_zeros(begin):
        if _likely_encoding(begin) is None:
            raise InputError(f"{path}: this is a binary file, and no text")
        raise _wrong_encoding(path, encoding, "there are NUL characters")


def _may_have_zeros(encoding):
    """Returns whether characters of an encoding have bytes that are 0."""
    return codecs.lookup(encoding).name.startswith(("utf-16", "utf-32"))


def _has_many_zeros(data):
    return data.count(0) > len(data) / 8


def _is_other_than_utf8(begin, encoding):
    """Returns whether a file is in UTF-8, by its first bytes, but not as its encoding.

    Text in other encodings that has more than ASCII is no valid UTF-8.
    """
    is_utf8 = codecs.lookup(encoding).name.startswith("utf-8")
    if is_utf8 or _may_have_zeros(encoding):
        return False
    return bool(_HIGH_BYTES.search(begin)) and _can_decode(begin, "utf-8")


@functools.lru_cache(maxsize=None)  # once for each file
def _warn_of_utf8(path, encoding):
    logger.warning(
        "%s: the file is in UTF-8, and read so, not as --encoding=%s", path, encoding
    )


def _wrong_encoding(path, encoding, reason):
    """Returns the error that names the first line that cannot be decoded."""
    name = "utf-8" if encoding.startswith("utf-8") else encoding
    with gzip.open(path) if path.endswith(".gz") else open(path, "rb") as reader:
        begin = reader.read(_SIZE_LOOKED_AT)
        reader.seek(0)
        number, line, has_others = _first_wrong_line(reader, name)
    line = line or begin
    is_cut = len(begin) == _SIZE_LOOKED_AT
    likely = _likely_encoding(line if _can_decode(begin, name, is_cut) else begin)
    remedy = "--encoding=NAME reads data files in another encoding"
    if name == "utf-8" and has_others:
        remedy = "the lines before are in UTF-8; mend this one"
    elif likely not in (None, encoding):
        remedy = f"it looks like {likely}; --encoding={likely} reads data files in it"
    name = name.replace("utf-8", "UTF-8")
    return InputError(f"{path}:{number}: not {name}: {reason}; {remedy}")


def _first_wrong_line(lines, encoding):
    """Returns the first of some lines, bytes, that is not in an encoding.

    Returns:
      (number from 1, line, whether lines before it have more than ASCII); the line is
      None if there is none, as the lines of UTF-16 end within a character.
    """
    has_others = False
    for number, line in enumerate(lines, 1):
        if not _can_decode(line, encoding, False):
            return number, line, has_others
        has_others = has_others or bool(_HIGH_BYTES.search(line))
    return 1, None, has_others


# Bytes of a file by which its encoding is recognised.
_SIZE_LOOKED_AT = 1 << 20
_HIGH_BYTES = re.compile(b"[\x80-\xff]+")


def _likely_encoding(data):
    """Returns the name of the encoding that bytes seem to be in.

    Chinese text has pairs of bytes from 0xa1 one behind the other; in text of Western
    Europe a letter with an accent stands among ASCII. None if neither is the case.
    """
    if data.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "utf-32"
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if _has_many_zeros(data):
        zeros = {"utf-16-be": data[::2].count(0), "utf-16-le": data[1::2].count(0)}
        # In a binary file both halves of two bytes are 0.
        is_text = 20 * min(zeros.values()) < max(zeros.values())
        return max(zeros, key=zeros.get) if is_text else None
    if _can_decode(data, "utf-8"):
        return "utf-8"
    runs = _HIGH_BYTES.findall(data)
    num_bytes = sum(map(len, runs))
    num_alone = sum(len(run) == 1 for run in runs)
    if 2 * num_alone > num_bytes:
        return "cp1252" if _can_decode(data, "cp1252") else "latin-1"
    return "gb18030" if _is_chinese(data) else None


def _is_chinese(data):
    """Returns whether bytes seem to be Chinese in GB 18030, and not Japanese or Korean.

    Most characters are then among the usual ones of GB 2312. Its hiragana and katakana
    stand at the same bytes as those of EUC-JP, and the letters of EUC-KR where the
    first half of the usual Chinese characters is.
    """
    if not _can_decode(data, "gb18030"):
        return False
    chars = [char for char in data.decode("gb18030", "ignore") if ord(char) > 127]
    num_chinese = sum(0x4E00 <= ord(char) < 0xA000 for char in chars)
    num_kana = sum(0x3040 <= ord(char) < 0x3100 for char in chars)
    usual = [char.encode("gb2312", "ignore") for char in chars]
    first_bytes = [each[0] for each in usual if each and each[0] >= 0xB0]
    is_korean = len(first_bytes) > 9 and max(first_bytes) <= 0xC8
    return (
        2 * num_chinese > len(chars)
        and 20 * num_kana < len(chars)
        and 2 * len(first_bytes) > num_chinese
        and not is_korean
    )


def _can_decode(data, encoding, is_cut=True):
    """Returns whether bytes are in an encoding; the last character may be cut."""
    try:
        codecs.getincrementaldecoder(encoding)().decode(data, not is_cut)
    except UnicodeError:
        return False
    return True
