"""Lines: closes that chain, headers that say their version, heads of whole records only."""

import json
import zlib

import pytest

from holdfast.records import Event, encode_record
from holdfast.storage.lines import (
    FORMAT_VERSION,
    Header,
    NotAHeader,
    Predecessor,
    UnknownVersion,
    close_line,
    header_line,
    join_line,
    largest_field,
    read_closes,
    read_head,
    read_header,
    stamp_synced,
    strip_close,
)

HEADER = Header(
    format=FORMAT_VERSION,
    session="run",
    writer="main",
    segment=3,
    attempt=2,
    boot="b",
    durability="process",
    first=8,
    prev=Predecessor(2, 100, 7, "0badcafe"),
)


def lines_of(*texts: str) -> list[bytes]:
    return [encode_record(Event(n=n, name=text)) for n, text in enumerate(texts, 1)]


def test_a_close_covers_everything_since_the_close_before_it() -> None:
    first, second, third = lines_of("a", "b", "c")
    closed, crc = close_line(first, 0)
    last, after = close_line(third, zlib.crc32(second + b"\n", crc))
    data = closed + b"\n" + second + b"\n" + last + b"\n"
    closes = list(read_closes(data, 0, 0))
    assert [(close.good, close.crc) for close in closes] == [(True, crc), (True, after)]
    assert [close.end for close in closes] == [len(closed) + 1, len(data)]
    assert json.loads(last)["crc"] == f"{after:08x}"
    assert list(json.loads(last))[-1] == "crc"


def test_any_flipped_bit_makes_its_close_bad() -> None:
    first, second = lines_of("a", "b")
    closed, crc = close_line(first, 0)
    last, _ = close_line(second, crc)
    data = closed + b"\n" + last + b"\n"
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        closes = list(read_closes(bytes(damaged), 0, 0))
        assert not all(close.good for close in closes) or len(closes) < 2


def test_a_close_behind_a_bad_one_is_checked_on_its_own() -> None:
    first, second = lines_of("a", "b")
    closed, crc = close_line(first, 0)
    last, _ = close_line(second, crc)
    data = closed.replace(b'"a"', b'"x"') + b"\n" + last + b"\n"
    assert [close.good for close in read_closes(data, 0, 0)] == [False, True]


def test_what_a_user_writes_is_never_taken_for_a_close() -> None:
    texts = ('x","crc":"01234567"}', '","crc":"01234567"}\n')
    for line in [*lines_of(*texts), encode_record(Event(n=1, name="x", data={"a": {"crc": "01234567"}, "crc": "01234567"}))]:
        assert list(read_closes(line + b"\n", 0, 0)) == []
        assert strip_close(line) == line


@pytest.mark.parametrize("synced", [None, 0, 12345])
def test_a_line_comes_back_without_its_close_and_stamp(synced: int | None) -> None:
    [line] = lines_of("a")
    stamped = line if synced is None else stamp_synced(line, synced)
    closed, _ = close_line(stamped, 17)
    assert json.loads(closed)
    assert strip_close(closed) == line
    assert strip_close(line) == line


def test_a_stamp_of_a_users_own_text_is_not_stripped() -> None:
    line = encode_record(Event(n=1, name='a,"synced":5'))
    closed, _ = close_line(line, 0)
    assert strip_close(closed) == line


def test_a_joined_line_says_so_in_its_head() -> None:
    [line] = lines_of("a")
    head = read_head(join_line(line))
    assert head is not None
    assert (head.n, head.join, head.synced) == (1, True, None)


@pytest.mark.parametrize(
    "line", [b"", b"{", b"{}", b"[]", b"null", b'{"kind":"x"}', b'{"n":1}', b'{"kind":"x","n":"1"}', b"\0" * 20, b"\xff"]
)
def test_what_is_no_whole_record_has_no_head(line: bytes) -> None:
    assert read_head(line) is None


def test_every_cut_of_a_record_has_no_head() -> None:
    [line] = lines_of("a text with { and } and \\ in it")
    assert all(read_head(line[:cut]) is None for cut in range(len(line)))


def test_a_line_whose_text_is_no_utf8_has_no_head() -> None:
    assert read_head(b'{"kind":"ev\xf3nt","n":1}') is None


def test_lines_that_nest_too_deep_to_be_read_have_no_head() -> None:
    assert read_head(b'{"kind":"x","n":1,"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}") is None


def test_a_header_comes_back_with_its_length_and_close() -> None:
    line, crc = header_line(HEADER)
    assert read_header(line + b"more") == (HEADER, len(line), crc)


def test_any_flipped_bit_in_a_header_is_seen() -> None:
    line, _ = header_line(HEADER)
    for bit in range(8 * len(line)):
        damaged = bytearray(line)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises((NotAHeader, UnknownVersion)):
            read_header(bytes(damaged))


@pytest.mark.parametrize("data", [b"", b"\n", b"\n" * 100, b"{}\n", b"\0" * 64])
def test_what_is_no_header_is_said(data: bytes) -> None:
    with pytest.raises(NotAHeader):
        read_header(data)


def test_a_newer_header_is_known_as_one_whatever_else_it_holds() -> None:
    line, _ = close_line(b'{"kind":"segment","format":99,"shape":"other"}', 0)
    with pytest.raises(UnknownVersion) as unknown:
        read_header(line + b"\n")
    assert unknown.value.args == (99,)


def test_the_largest_field_of_a_long_line_is_named() -> None:
    line = encode_record(Event(n=1, name="x" * 50, data={"a": "y" * 500}))
    path, reason = largest_field(line)
    assert path == "event.data"
    assert f"the record would take {len(line):,} bytes" in reason
