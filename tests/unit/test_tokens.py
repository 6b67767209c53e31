"""Tokens: each grammar is read and written back, junk is told with its reason, patterns look at the parts."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import InvalidValue
from holdfast.tokens import (
    DIALECTS,
    OPERATORS,
    SLOTS,
    SPIRALS,
    ArchiveToken,
    CoreToken,
    Junk,
    LatticeToken,
    SentenceToken,
    SlotToken,
    Token,
    dialect_of,
    format_token,
    matches,
    parse,
)

EXAMPLES: list[tuple[str, Token]] = [
    ("Φ()|Encoder|bio_prion", LatticeToken("Φ", "()", "Encoder", "bio_prion", "a")),
    ("π−|Regenerator|oceanic_current", LatticeToken("π", "−", "Regenerator", "oceanic_current", "b")),
    ("e×|M9|astro_quantum", LatticeToken("e", "×", "M9", "astro_quantum", "c")),
    ("e+|NP0|t4", SlotToken("e", "+", "NP", 0, 4)),
    ("π()|DET2|t8", SlotToken("π", "()", "DET", 2, 8)),
    ("Φ:U(U)TRUE@1", CoreToken("Φ", "U", "U", "TRUE", 1)),
    ("e:Mod(())UNTRUE@3", CoreToken("e", "Mod", "()", "UNTRUE", 3)),
    ("e:T(consciousness)PARADOX@t6", ArchiveToken("e", "T", "consciousness", "PARADOX", 6)),
    ("Φ:+@t1/TRUE", ArchiveToken("Φ", "", "+", "TRUE", 1)),
    ("u()|Oscillator|wave", SentenceToken("u", "()", "Oscillator", "wave")),
]


@pytest.mark.parametrize(("text", "token"), EXAMPLES)
def test_a_token_of_each_grammar_is_read_and_written_back(text: str, token: Token) -> None:
    assert parse(text) == token
    assert format_token(token) == text


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("Φ-|Encoder|bio_prion", "Φ−|Encoder|bio_prion"),
        ("e%|Q1|t5", "e÷|Q1|t5"),
        ("π:-@t3/UNTRUE", "π:−@t3/UNTRUE"),
        ("m× | Encoder | chemistry", "m×|Encoder|chemistry"),
        (" Φ+ | NP0 | t1 ", "Φ+|NP0|t1"),
    ],
)
def test_aliases_and_blanks_are_read_as_what_they_stand_for(text: str, canonical: str) -> None:
    token = parse(text)
    assert not isinstance(token, Junk)
    assert str(token) == canonical


@pytest.mark.parametrize(
    ("junk", "reason"),
    [
        ("α⊕|CELL|T0", "'α' is neither a spiral"),
        ("Φ⊕|Encoder|bio_prion", "'⊕' is no operator"),
        ("Φ+|Encoder|bio_neural", "one dialect"),
        ("Φ+|NP0|t0", "'t0' is no tier"),
        ("Φ+|NP|t4", "neither a slot with a tier"),
        ("u+|CELL|wave", "'CELL' is no machine"),
        ("u+|Encoder|", "'' is no word"),
        ("x:U(U)TRUE@1", "'x' is no spiral"),
        ("Φ:U(U)MAYBE@1", "neither machine"),
        ("Φ:?@t1/TRUE", "'?' is no operator"),
        ("|||", "neither three parts"),
        ("", "neither three parts"),
        (None, "NoneType"),
        (["Φ+|NP0|t4"], "list"),
    ],
)
def test_what_no_grammar_knows_is_junk_with_a_reason(junk: Any, reason: str) -> None:
    found = parse(junk)
    assert isinstance(found, Junk)
    assert found.value == junk
    assert reason in found.reason


@given(st.text() | st.text(alphabet="Φeπ()×^÷+−-%|:@/tTRUE0123 Encoderbio_"))
def test_any_text_is_read_without_an_exception_and_what_is_read_is_stable(text: str) -> None:
    token = parse(text)
    if isinstance(token, Junk):
        assert token.value == text
    else:
        assert parse(str(token)) == token


def test_a_slot_that_is_not_its_operators_is_read_and_told() -> None:
    gated, foreign = parse("e÷|Q1|t4"), parse("e÷|NP1|t4")
    assert isinstance(gated, SlotToken)
    assert isinstance(foreign, SlotToken)
    assert (gated.is_gated, foreign.is_gated) == (True, False)


def test_every_dialect_has_972_tokens_which_are_read_as_its_own() -> None:
    for name, (machines, domains) in DIALECTS.items():
        texts = [f"{s}{o}|{m}|{d}" for s in SPIRALS for o in OPERATORS for m in machines for d in domains]
        assert len(set(texts)) == 972
        assert dialect_of(texts) == name
        assert {str(parse(text)) for text in texts} == set(texts)


def test_a_dialect_is_told_only_where_one_knows_every_token() -> None:
    assert dialect_of(["Φ+|Encoder|celestial_nuclear"]) == "a"
    assert dialect_of(["Φ+|Encoder|celestial_nuclear", "Φ+|Encoder|stellar_plasma"]) == "b"
    assert dialect_of(["Φ+|Encoder|bio_prion", "Φ+|Encoder|stellar_plasma"]) is None
    assert dialect_of(["Φ+|NP0|t4"]) is None


def test_each_operator_has_a_slot() -> None:
    assert set(SLOTS) == set(OPERATORS)


@pytest.mark.parametrize(
    ("pattern", "hits"),
    [
        ("Φ×|*|celestial", 27),
        ("*|*|bio", 486),
        ("*|*|celestial_nuclear", 162),
        ("*|*|nuclear", 0),
        ("*|*|cel", 0),
        ("*|*|bio_pri", 0),
        ("Φ×|Reactor|*", 6),
        ("Φ*|Reactor", 36),
        ("π", 0),
        ("π*", 324),
        ("*()|*|*", 162),
        ("*-|*|*", 162),
        ("*−|*|*", 162),
        ("*%|E*r|bio_prion", 3),
        ("*|*tor|*", 432),
        ("*", 972),
    ],
)
def test_a_pattern_looks_at_each_part(pattern: str, hits: int) -> None:
    machines, domains = DIALECTS["a"]
    lattice = [f"{s}{o}|{m}|{d}" for s in SPIRALS for o in OPERATORS for m in machines for d in domains]
    assert sum(matches(pattern, text) for text in lattice) == hits


def test_patterns_match_the_other_grammars_and_texts_with_blanks() -> None:
    assert matches("e+|NP*|t4", "e+|NP0|t4")
    assert not matches("e+|NP*|t4", "e+|NP0|t5")
    assert matches("Φ:U*", "Φ:U(U)TRUE@1")
    assert matches("m×|Encoder|chem*", "m× | Encoder | chemistry")
    assert matches("Φ−|*|*", "Φ-|Encoder|bio_prion")
    assert not matches("Φ.|*|*", "Φ+|Encoder|bio_prion")


@pytest.mark.parametrize("pattern", ["", "|", "Φ×||bio", "a|b|c|d", None])
def test_what_is_no_pattern_is_refused(pattern: Any) -> None:
    with pytest.raises(InvalidValue, match="Φ×"):
        matches(pattern, "Φ×|Reactor|bio_prion")
