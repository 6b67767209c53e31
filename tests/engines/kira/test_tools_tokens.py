"""nuclear_spinner, token_index, token_vault, emission_pipeline: what is done with tokens and texts."""

import pytest

from holdfast.engines.kira import Kira
from holdfast.engines.kira.lattice import LATTICE
from holdfast.engines.kira.tools.index import CORE_SETS, index_sets
from holdfast.engines.kira.tools.spinner import activations
from holdfast.engines.kira.tools.vault import words_of
from holdfast.tokens import CoreToken, parse
from tests.engines.kira.listening import Heard
from tests.engines.kira.tooling import at_the_lens, does, refuses


@pytest.mark.parametrize(("z", "spiral"), [(0.7, "e"), (0.88, "π"), (0.93, "π")])
def test_a_spin_makes_lattice_tokens_that_the_tier_allows(z: float, spiral: str) -> None:
    heard = Heard()
    engine = Kira(seed=4, listener=heard)
    engine.move_to(z)
    heard.all.clear()
    steps = [does(engine, "nuclear_spinner", "step") for _ in range(60)]
    for step in steps:
        token = step["token"]
        assert token in LATTICE
        assert token.startswith(spiral)
        assert token.split("|")[0].removeprefix(spiral) in engine.state.tier_now.operators
        assert step["all_activations"][step["active_machine"]] == max(step["all_activations"].values())
    told = heard.named("tokens")
    assert [tokens for tokens, _ in told] == [[step["token"]] for step in steps]
    columns = {"source": ["nuclear_spinner"], "tier": [engine.state.tier_index], "z": [z], "phase": [engine.state.phase.value]}
    assert all(others == columns for _, others in told)
    assert heard.named("token") == []
    assert len(engine.tokens_emitted) == 0
    visits = does(engine, "nuclear_spinner", "status")["visits"]
    assert sum(visits.values()) == 60
    assert min(visits.values()) >= 5  # of 60 / 9: the golden angle visits all evenly


def test_the_wheel_points_at_one_machine_most() -> None:
    for index in range(9):
        active = activations(2 * 3.141592653589793 * index / 9)
        assert active.index(max(active)) == index
        assert all(0 <= value <= 1 for value in active)


def test_the_same_seed_spins_the_same_tokens() -> None:
    runs = [does(at_the_lens(seed=seed), "nuclear_spinner", "run", steps=20) for seed in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]
    assert runs[0]["ran"] == 20


def test_a_run_of_the_wheel_is_told_as_one_batch_of_what_its_steps_would_make() -> None:
    stepping, running, heard = at_the_lens(seed=3), at_the_lens(seed=3), Heard()
    running.listener = heard
    steps = [does(stepping, "nuclear_spinner", "step")["token"] for _ in range(7)]
    does(running, "nuclear_spinner", "run", steps=7)
    assert [tokens for tokens, _ in heard.named("tokens")] == [steps]
    assert running.state_dict() == {**stepping.state_dict(), "tools": running.state_dict()["tools"]}


def test_an_export_is_counted_by_every_component() -> None:
    engine = at_the_lens()
    everything = does(engine, "nuclear_spinner", "export")
    assert everything["tokens"] == list(LATTICE)
    assert {name: set(counts.values()) for name, counts in everything["counts"].items()} == {
        "spiral": {324},
        "operator": {162},
        "machine": {108},
        "domain": {162},
    }
    some = does(engine, "nuclear_spinner", "export", pattern="Φ×|*|celestial")
    assert (some["count"], some["counts"]["operator"]["×"]) == (27, 27)
    assert "'Φ×|*|celestial'" in refuses(engine, "nuclear_spinner", "export", pattern="a|b|c|d")


def test_tokens_of_every_grammar_are_parsed() -> None:
    engine = at_the_lens()
    assert does(engine, "nuclear_spinner", "parse", token="π-|Regenerator|celestial_em") == {
        "token": "π−|Regenerator|celestial_em",
        "grammar": "lattice",
        "spiral": "π",
        "operator": "−",
        "machine": "Regenerator",
        "domain": "celestial_em",
        "dialect": "a",
    }
    assert does(engine, "nuclear_spinner", "parse", token="e+|NP0|t4")["grammar"] == "slot"


def test_the_index_has_the_sizes_given_and_no_entry_twice() -> None:
    sets = index_sets()
    assert {name: len(entries) for name, entries in sets.items()} == {
        "identity": 162,
        "meta": 54,
        "domain": 54,
        "safety": 30,
        "lattice": 972,
        "families": 54,
    }
    assert len({entry for entries in sets.values() for entry in entries}) == 1326
    assert "Φ:U(U)TRUE@1" in sets["identity"]
    core = [parse(entry) for name in CORE_SETS for entry in sets[name]]
    assert len(core) == 300
    assert all(isinstance(token, CoreToken) for token in core)
    built = does(at_the_lens(), "token_index", "build")
    assert (built["core"], built["grand_total"], built["is_built"]) == (300, 1326, True)


def test_the_index_finds_by_pattern_and_by_text() -> None:
    engine = at_the_lens()
    found = does(engine, "token_index", "lookup", pattern="Φ×|*|celestial")
    assert (found["count"], found["by_set"], len(found["showing"])) == (27, {"lattice": 27}, 20)
    assert does(engine, "token_index", "lookup", pattern="Φ:U(D)UNTRUE@1")["by_set"] == {"safety": 1}
    assert does(engine, "token_index", "lookup", pattern="Encoder|bio_prion")["by_set"] == {"families": 1}
    assert does(engine, "token_index", "lookup", pattern="π|nothing")["count"] == 0
    assert does(engine, "token_index", "status")["lookups"] == 4


def test_the_registry_follows_the_vault() -> None:
    engine = at_the_lens()
    does(engine, "token_vault", "record", tokens=["e+|NP0|t4", "π()|DET0|t7"])
    first = does(engine, "token_index", "register")
    assert (first["new"], first["updated"], first["registered_total"]) == (["e+|NP0|t4", "π()|DET0|t7"], 0, 2)
    does(engine, "token_vault", "record", tokens=["e+|NP0|t4"])
    second = does(engine, "token_index", "register")
    assert (second["new"], second["updated"], second["registered_total"]) == ([], 1, 2)
    assert does(engine, "token_index", "register")["updated"] == 0


def test_the_vault_counts_tokens_and_forgets_those_not_met_for_long() -> None:
    engine = at_the_lens()
    for token in LATTICE[:70]:
        does(engine, "token_vault", "record", tokens=[token, "e+|NP0|t4"])
    status = does(engine, "token_vault", "status")
    assert (status["nodes"], status["recorded_total"]) == (64, 140)
    assert does(engine, "token_vault", "lookup", token="e+|NP0|t4")["count"] == 70
    assert "is not in the vault" in refuses(engine, "token_vault", "lookup", token=LATTICE[0])


def test_teaching_a_token_strengthens_its_words() -> None:
    engine = at_the_lens()
    does(engine, "token_vault", "record", tokens=["π−|Decoder|bio_prion"])
    before = engine.network.strength("river", "emergence")
    taught = does(engine, "token_vault", "teach", token="π−|Decoder|bio_prion", words=["River", "stone"])
    assert taught["meaning"] == ["emergence", "separate", "decoder"]
    assert before == taught["strength_before"]["river → emergence"] == 0
    assert engine.network.strength("river", "emergence") == taught["strength_after"]["river → emergence"] > 0.1
    again = does(engine, "token_vault", "teach", token="π−|Decoder|bio_prion", words=["river"])
    assert again["strength_after"]["river → emergence"] > taught["strength_after"]["river → emergence"]


@pytest.mark.parametrize(
    ("token", "words"),
    [
        ("e+|NP0|t4", ["energy", "group"]),
        ("Φ×|Reactor|bio_prion", ["structure", "fusion", "reactor"]),
        ("Φ:U(U)TRUE@1", []),
        ("α⊕|CELL|T0", []),
    ],
)
def test_a_token_means_its_components(token: str, words: list[str]) -> None:
    assert words_of(token) == words


def test_a_token_without_meaning_cannot_be_taught() -> None:
    engine = at_the_lens()
    does(engine, "token_vault", "record", tokens=["Φ:U(U)TRUE@1"])
    assert "has no spiral and operator to teach" in refuses(
        engine, "token_vault", "teach", token="Φ:U(U)TRUE@1", words=["river"]
    )
    assert "words: Expected" in refuses(engine, "token_vault", "teach", token="Φ:U(U)TRUE@1", words=[])


def test_an_emission_is_the_engines_and_goes_into_the_codex_once() -> None:
    heard = Heard()
    engine = at_the_lens(listener=heard)
    made = does(engine, "emission_pipeline", "emit", concepts=["pattern", "emerge", "consciousness"])
    assert made["emission"]["text"] == "The pattern emerges the consciousness."
    assert [text for text, _ in heard.named("emission")] == [made["emission"]["text"]]
    assert list(engine.emissions)[-1]["text"] == made["emission"]["text"]
    assert len(engine.tokens_emitted) == len(made["emission"]["tokens"]) == 5
    assert [entry["text"] for entry in does(engine, "emission_pipeline", "codex")["appended"]] == [made["emission"]["text"]]
    assert does(engine, "emission_pipeline", "codex")["appended"] == []
    for _ in range(12):
        does(engine, "emission_pipeline", "emit", concepts=["lens"])
    late = does(engine, "emission_pipeline", "codex")
    assert (len(late["appended"]), late["missed"], late["codex_total"]) == (10, 2, 11)


@pytest.mark.parametrize("concepts", [[], ["pattern", ""], ["a", "b", "c", "d", "e", "f"], "pattern", [7]])
def test_concepts_that_are_none_are_refused(concepts: object) -> None:
    assert "concepts" in refuses(at_the_lens(), "emission_pipeline", "emit", concepts=concepts)
