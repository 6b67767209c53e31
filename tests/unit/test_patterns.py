"""What patterns find, and where those that mean nothing are wrong."""

import pickle

import pytest

from holdfast import tokens
from holdfast.errors import BadPattern
from holdfast.reading.index.dictionary import dictionary_of
from holdfast.reading.patterns import compile_pattern
from tests.helpers.search_oracle import finds

LATTICE = [
    f"{spiral}{operator}|{machine}|{domain}"
    for spiral in tokens.SPIRALS
    for operator in tokens.OPERATORS
    for machine in tokens.MACHINES
    for domain in tokens.DOMAINS
]
OTHERS = [
    "Φ×",
    " Φ× ",
    "Φ× | Reactor | bio_prion",
    "Φ×|Reactor",
    "Φ×|Reactor|bio_prion|more",
    "Φ:U(U)TRUE@1",
    "e+|NP0|t4",
    "the",
    " the",
    "the|end",
    "a|b",
    "a*b",
    "a\\b",
    "line\nof|two",
    "line\0of|two",
    "100%",
    "",
    "7",
    "e\u0301",
    "é",
]


@pytest.mark.parametrize(
    ("pattern", "count"),
    [
        ("Φ×|*|celestial", 27),
        ("Φ×|*|bio", 27),
        ("Φ×|Reactor|bio_prion", 1),
        ("Φ-|Reactor|bio_prion", 1),
        ("Φ%|*|*", 54),
        ("Φ×|Reactor", 6),
        ("Φ×", 54),
        ("Φ×*", 54),
        ("Φ", 0),
        ("Φ*", 324),
        ("*_em", 162),
        ("*Reac*", 108),
        ("*Reac*em", 18),
        ("*|Reactor", 108),
        (" Φ× |Reactor| bio_prion ", 1),
        ("Φ×|R*r|*_e*", 2),
        ("*", 972),
        ("*|*|*|*", 0),
        ("Φ\\×", None),
    ],
)
def test_a_pattern_finds_so_many_tokens_of_the_lattice(pattern: str, count: int | None) -> None:
    if count is None:
        with pytest.raises(BadPattern):
            compile_pattern(pattern)
        return
    found = [text for text in LATTICE if compile_pattern(pattern).matches(text)]
    assert len(found) == count == sum(finds(pattern, text) for text in LATTICE)


@pytest.mark.parametrize("pattern", ["Φ×|*|celestial", "Φ×|Reactor", "e-|*|bio_prion", "*|Dynamo|*_em", "Φ ×|*|*"])
def test_patterns_with_bars_mean_what_the_grammar_of_tokens_says(pattern: str) -> None:
    texts = [text for text in LATTICE + OTHERS if "\n" not in text]
    assert [text for text in texts if compile_pattern(pattern).matches(text)] == [
        text for text in texts if tokens.matches(pattern, text)
    ]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("the", ["the", "the|end"]),
        (" the", [" the", "the|end"]),
        ("the*", ["the", "the|end"]),
        ("a\\|b", ["a|b"]),
        ("a|b", ["a|b"]),
        ("a\\*b", ["a*b"]),
        ("a*b", ["a*b", "a\\b", "a|b"]),
        ("a\\\\b", ["a\\b"]),
        ("line\nof", ["line\nof|two"]),
        ("line*", ["line\0of|two", "line\nof|two"]),
        ("*of*", ["line\0of|two", "line\nof|two"]),
        ("Φ×|Reactor|bio_prion", ["Φ× | Reactor | bio_prion"]),
        ("*|*|*|*", ["Φ×|Reactor|bio_prion|more"]),
        ("*÷", ["100%"]),
        ("é", ["é"]),
        ("7", ["7"]),
    ],
)
def test_a_pattern_finds_just_these(pattern: str, found: list[str]) -> None:
    dictionary, _ = dictionary_of(OTHERS)
    selection = dictionary.select(compile_pattern(pattern))
    ids = range(selection.start, selection.stop) if isinstance(selection, slice) else selection.tolist()
    assert sorted(dictionary.lines.texts(ids)) == sorted(found)
    assert sorted(text for text in OTHERS if finds(pattern, text)) == sorted(found)


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("^the$", ["the"]),
        (r"\Athe\z", ["the"]),
        ("^(?i)THE", ["the", "the|end"]),
        ("(?-m)^the$", ["the"]),
        (r"\Qa*b", ["a*b"]),
        ("a.b", ["a*b", "a\\b", "a|b"]),
        ("e.of", ["line\0of|two"]),
        ("(?s)e.of", ["line\0of|two", "line\nof|two"]),
        ("^of", []),
        ("(?m)^of", ["line\nof|two"]),
        (r"\Ce", ["line\0of|two", "line\nof|two", "the", " the", "the|end", "Φ×|Reactor|bio_prion|more"]),
        (r"^\s*$", [""]),
        ("[^a-z]of", ["line\0of|two", "line\nof|two"]),
        (r"^\pL\pM$", ["e\u0301"]),
    ],
)
def test_a_regular_expression_finds_just_these(pattern: str, found: list[str]) -> None:
    dictionary, _ = dictionary_of(OTHERS)
    compiled = compile_pattern(pattern, regex=True)
    selection = dictionary.select(compiled)
    ids = range(selection.start, selection.stop) if isinstance(selection, slice) else selection.tolist()
    assert sorted(dictionary.lines.texts(ids)) == sorted(text for text in OTHERS if compiled.matches(text))
    if pattern != r"\Ce":
        assert sorted(dictionary.lines.texts(ids)) == sorted(found)


@pytest.mark.parametrize(
    ("pattern", "sign", "reason"),
    [
        ("", 0, "empty"),
        ("a||b", 2, "part between bars is empty"),
        ("|", 0, "part between bars is empty"),
        ("a|b| ", 4, "part between bars is empty"),
        ("ab\\c", 2, "a backslash stands before"),
        ("ab\\", 2, "nothing follows"),
        ("a\ud800b", 1, "surrogate"),
        ("x" * 70_000, 0, "more than 65,536 bytes"),
    ],
)
def test_a_bad_pattern_is_an_error_with_a_caret_under_the_place(pattern: str, sign: int, reason: str) -> None:
    with pytest.raises(BadPattern, match=reason) as caught:
        compile_pattern(pattern)
    assert caught.value.offset == sign
    line, caret = str(caught.value).splitlines()[-2:]
    assert caret.strip() == "^"
    assert caret.index("^") == 2 + sign
    assert len(line) < 90
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


@pytest.mark.parametrize(
    ("pattern", "sign", "reason"),
    [
        ("", 0, "empty"),
        (r"(Φ)\1", 3, "back-reference"),
        (r"(?P<x>a)(?P=x)", 8, "back-reference"),
        ("a(?=b)", 1, "looking ahead or behind"),
        ("(?P<x>a)(?<!b)", 8, "looking ahead or behind"),
        ("Φ(a", 1, "no other half"),
        (r"(a\)[(]b", 0, "no other half"),
        ("Φ)", 1, "no other half"),
        ("[]a", 0, "missing ]"),
        ("é**", 1, "bad repetition operator"),
        ("*a", 0, "no argument for repetition"),
        ("a{1001}", 1, "invalid repetition size"),
        ("a\\", 1, "a backslash stands at the end"),
        ("é(?z)", 1, "invalid perl operator"),
        (r"a\pZz\p{Nope}", 5, "invalid character class range"),
        ("((((x{100}){100}){100}){100})", None, "repetition|too large"),
        (r"\pL{900}" * 30, 0, "too large"),
    ],
)
def test_a_bad_regular_expression_shows_where_it_is_wrong(pattern: str, sign: int | None, reason: str) -> None:
    with pytest.raises(BadPattern, match=reason) as caught:
        compile_pattern(pattern, regex=True)
    if sign is not None:
        assert caught.value.offset == sign
    assert str(caught.value).endswith("^")


@pytest.mark.parametrize("pattern", ["é" * 5000, "*é" * 2500 + "*", "a|" * 5000 + "a", r"\|" * 5000])
def test_a_pattern_of_ten_kilobytes_finds_what_it_says(pattern: str) -> None:
    text = pattern.replace("*", "").replace("\\", "")
    dictionary, ids = dictionary_of([text, "other"])
    selection = dictionary.select(compile_pattern(pattern))
    found = range(selection.start, selection.stop) if isinstance(selection, slice) else selection.tolist()
    assert list(found) == [ids[0]]


def test_a_pattern_that_is_no_text_is_refused() -> None:
    with pytest.raises(BadPattern, match="a pattern is a text, and this is int"):
        compile_pattern(7)


@pytest.mark.parametrize(
    ("pattern", "regex", "shown"),
    [
        ("*React*", False, ["React"]),
        ("Φ×|*|bio", False, ["Φ×", "bio_prion"]),
        ("Φ×*", False, ["Φ×"]),
        ("*_prion", False, ["_prion"]),
        ("[a-z]+_", True, ["bio_"]),
        ("$", True, []),
        ("*", False, []),
        ("Φ*prion", False, ["Φ×|Reactor|bio_prion"]),
    ],
)
def test_what_was_asked_for_is_told_from_the_rest_of_a_token(pattern: str, regex: bool, shown: list[str]) -> None:
    text = "Φ×|Reactor|bio_prion"
    spans = compile_pattern(pattern, regex=regex).spans(text)
    assert [text[start:end] for start, end in spans] == shown
