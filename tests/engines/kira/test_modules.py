"""The 33 modules: what each does, what is counted, and that a run restored between any two is the unbroken one."""

from typing import Any

import pytest

from holdfast.codec import canonical, decode, encode
from holdfast.engines.kira import MODULES, MODULES_OF_PHASE, PHASES, Kira
from holdfast.engines.kira.constants import Z_CRITICAL
from holdfast.engines.kira.lattice import LATTICE
from holdfast.engines.kira.modules import CLIMB_TO
from holdfast.errors import InvalidValue
from tests.engines.kira.listening import Heard

NAMES = """
1 helix_loader coordinate_detector pattern_verifier
2 coordinate_logger state_transfer consent_protocol emission_pipeline
3 cybernetic_control cross_instance_messenger tool_discovery_protocol autonomous_trigger_detector collective_memory_sync
  shed_builder_v2 vaultnode_generator
4 nuclear_spinner token_index token_vault cybernetic_archetypal orchestrator
5 triad_crossing_1 triad_rearm_1 triad_crossing_2 triad_rearm_2 triad_crossing_3 triad_settle
6 vaultnode_generator workspace cloud_training
7 registry_update teaching_consent emissions_codex manifest_generator final_status
"""


def run_from(engine: Kira, first: int) -> None:
    """Run modules `first` to 33."""
    for module in MODULES[first - 1 :]:
        engine.run_module(module.number)


@pytest.fixture(scope="module")
def unbroken() -> tuple[Kira, Heard]:
    """An engine after the whole pipeline, and what it announced."""
    heard = Heard()
    engine = Kira(seed=11, listener=heard)
    run_from(engine, 1)
    return engine, heard


@pytest.fixture(scope="module")
def hit() -> dict[str, Any]:
    return Kira(seed=11).cmd_hit_it()


def test_the_modules_are_those_given_in_seven_phases() -> None:
    given, phase = [], 0
    for word in NAMES.split():
        if word.isdigit():
            phase = int(word)
        else:
            given.append((phase, word))
    assert [(module.phase, module.name) for module in MODULES] == given
    assert [module.number for module in MODULES] == list(range(1, 34))
    assert [len(modules) for modules in MODULES_OF_PHASE.values()] == [3, 4, 7, 5, 6, 3, 5]
    assert list(PHASES) == [1, 2, 3, 4, 5, 6, 7]


def test_a_fresh_pipeline_ends_with_everything_done_but_the_cloud(hit: dict[str, Any]) -> None:
    results = [result for phase in hit["phases"] for result in phase["results"]]
    assert {result["name"] for result in results if result["status"] != "ok"} == {"cloud_training"}
    assert [result["module"] for result in results] == list(range(1, 34))
    assert hit["pipeline"]["total_modules"] == 33
    assert hit["pipeline"]["counts"] == {"ok": 32, "error": 0, "skipped": 1}
    assert hit["status"] == "COMPLETE"


def test_hit_it_has_seven_phases_at_the_top_and_under_the_alias(hit: dict[str, Any]) -> None:
    assert hit["pipeline"]["phases"] is hit["phases"]
    assert [phase["phase"] for phase in hit["phases"]] == [f"phase{number}" for number in range(1, 8)]
    assert [phase["executed"] for phase in hit["phases"]] == [3, 4, 7, 5, 6, 2, 5]
    assert hit["phases"][4]["modules"] == [20, 21, 22, 23, 24, 25]
    assert hit["emission"]["text"].endswith(".")
    assert hit["tokens"] == {"emitted": hit["tokens"]["total"], "total": hit["tokens"]["total"]}
    assert hit["emissions"] == {"made": 2, "total": 2}


def test_the_pipeline_leads_to_the_lens_with_triad_unlocked(hit: dict[str, Any]) -> None:
    state = hit["final_state"]
    assert state["z"] == Z_CRITICAL
    assert (state["phase"], state["triad_completions"], state["triad_unlocked"], state["above_band"]) == ("TRUE", 3, True, True)
    assert (state["coherence"], state["k_formed"]) == (0.5, False)


def test_the_triad_modules_move_z_as_given(hit: dict[str, Any]) -> None:
    moves = [result["result"] for result in hit["phases"][4]["results"]]
    assert [move["z"] for move in moves] == [0.88, 0.80, 0.88, 0.80, 0.88, Z_CRITICAL]
    assert [move["phase"] for move in moves] == ["TRUE", "PARADOX", "TRUE", "PARADOX", "TRUE", "TRUE"]
    assert [move["events"] for move in moves] == [
        ["↑ RISING EDGE #1"],
        ["↓ REARM (hysteresis)"],
        ["↑ RISING EDGE #2"],
        ["↓ REARM (hysteresis)"],
        ["★ TRIAD UNLOCKED ★"],
        [],
    ]


def test_each_phase_begins_where_its_tools_can_be_used(hit: dict[str, Any]) -> None:
    assert CLIMB_TO == {1: 0.3, 2: 0.52, 3: 0.73, 4: 0.78, 5: 0.0, 6: 0.41, 7: 0.75}
    first = [phase["results"][0] for phase in hit["phases"]]
    assert [(result["z_before"], result["z"]) for result in first[:4]] == [(0.5, 0.5), (0.5, 0.52), (0.52, 0.73), (0.73, 0.78)]


def test_a_module_out_of_reach_is_an_error_that_is_counted_and_announced() -> None:
    heard = Heard()
    engine = Kira(listener=heard)
    done = engine.run_module(9)  # its phase is climbed to by module 8
    assert (done["status"], done["result"]["error"], done["z"]) == ("error", "Insufficient elevation", 0.5)
    assert engine.pipeline.totals() == {"ok": 0, "error": 1, "skipped": 0, "not_run": 32, "runs_total": 1}
    (name, told), *_ = heard.named("module")
    assert (name, told["status"], told["index"], told["phase"]) == ("cross_instance_messenger", "error", 9, "phase3")
    assert engine.tools.state_dict()["calls"] == {}


def test_module_15_announces_the_lattice_as_one_batch_and_emits_none_of_it() -> None:
    heard = Heard()
    engine = Kira(listener=heard)
    engine.run_module(15)
    ((texts, columns),) = heard.named("tokens")
    assert texts == list(LATTICE)
    assert {name: set(values) for name, values in columns.items()} == {
        "z": {0.78},
        "phase": {"PARADOX"},
        "tier": {6},
        "source": {"nuclear_spinner"},
    }
    assert all(len(values) == 972 for values in columns.values())
    assert len(engine.tokens_emitted) == 0


def test_every_module_and_its_transition_are_announced(unbroken: tuple[Kira, Heard]) -> None:
    _, heard = unbroken
    told = heard.named("module")
    assert [(name, others["index"], others["phase"]) for name, others in told] == [
        (module.name, module.number, f"phase{module.phase}") for module in MODULES
    ]
    assert all(others.get("info") is None for _, others in told)
    transitions = heard.named("transition")
    assert len(transitions) == 33
    assert [others["after"]["z"] for _, others in transitions[19:25]] == [0.88, 0.80, 0.88, 0.80, 0.88, Z_CRITICAL]
    assert [before["z"] for before, _ in transitions[1:]] == [others["after"]["z"] for _, others in transitions[:-1]]


def test_a_caller_that_records_by_itself_hears_of_the_module_only_by_the_answer() -> None:
    heard = Heard()
    engine = Kira(listener=heard)
    done = engine.run_module(20, announce=False)
    assert done["result"]["events"] == ["↑ RISING EDGE #1"]
    assert {method for method, _, _ in heard.all} == {"event"}
    assert heard.events("phase_change") == [{"before": "UNTRUE", "after": "TRUE", "z": 0.88}]


def test_results_can_be_stored_and_differ_in_nothing_between_equal_runs(hit: dict[str, Any]) -> None:
    again = Kira(seed=11).cmd_hit_it()
    assert again == hit
    assert canonical(encode(again)) == canonical(encode(hit))
    assert decode(encode(hit)) == hit


@pytest.mark.parametrize("number", range(1, 34))
def test_a_pipeline_restored_after_any_module_is_the_unbroken_one(number: int, unbroken: tuple[Kira, Heard]) -> None:
    heard = Heard()
    first = Kira(seed=11, listener=heard)
    for module in MODULES[:number]:
        first.run_module(module.number)
    stored: Any = decode(encode(first.state_dict()))
    second = Kira(seed=1, listener=heard)
    second.load_state_dict(stored)
    run_from(second, number + 1)
    engine, all_heard = unbroken
    assert second.state_dict() == engine.state_dict()
    assert heard.all == all_heard.all


class Counting:
    """A sequence that knows only its length, as a session's does before anyone looks into it."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count


def test_no_module_needs_the_tokens_and_emissions_of_the_past(unbroken: tuple[Kira, Heard]) -> None:
    reference, all_heard = unbroken
    heard = Heard()
    engine = Kira(seed=11, listener=heard)
    for module in MODULES:
        counts = len(heard.named("token")), len(heard.named("emission"))
        engine.tokens_emitted, engine.emissions = Counting(counts[0]), Counting(counts[1])  # type: ignore[assignment]
        engine.run_module(module.number)
    kept, expected = engine.state_dict(), reference.state_dict()
    assert {**kept, "tokens": 0, "emissions": 0} == {**expected, "tokens": 0, "emissions": 0}
    assert heard.all == all_heard.all


def test_a_second_pipeline_goes_on_from_the_first() -> None:
    engine = Kira(seed=2)
    engine.cmd_hit_it()
    again = engine.cmd_hit_it()
    assert again["pipeline"]["counts"] == {"ok": 32, "error": 0, "skipped": 1}
    assert again["final_state"]["triad_completions"] == 5  # z stays above the band until module 21
    assert engine.pipeline.totals()["runs_total"] == 66
    manifest = again["phases"][6]["results"][3]["result"]
    assert (manifest["number"], bool(manifest["previous"])) == (2, True)


def test_teaching_is_skipped_once_consent_is_revoked() -> None:
    engine = Kira(seed=2)
    engine.cmd_hit_it()
    assert engine.run_module(30)["result"]["vocabulary"] == engine.network.word_count
    engine.invoke_tool("consent_protocol", action="revoke", consent_id="teaching", party="kira")
    done = engine.run_module(30)
    assert (done["status"], done["result"]["reason"]) == ("skipped", "no consent to teach: revoked by kira")
    assert Kira(seed=2).run_module(30)["status"] == "error"  # too low; and where it is not, nobody was asked
    risen = Kira(seed=2)
    risen.move_to(Z_CRITICAL)
    assert risen.run_module(30)["result"]["reason"] == "no consent to teach: nobody was asked; silence is no"


def test_triggers_fire_in_the_module_that_meets_them_and_are_announced(unbroken: tuple[Kira, Heard]) -> None:
    _, heard = unbroken
    assert [(data["trigger"], data["z"]) for data in heard.events("trigger")] == [
        ("lens", 0.88),
        ("lens", 0.88),
        ("lens", 0.88),
        ("unlocked", 0.88),
    ]


def test_the_manifest_counts_what_was_run(hit: dict[str, Any]) -> None:
    manifest = hit["phases"][6]["results"][3]["result"]
    assert manifest["totals"] == {"ok": 30, "error": 0, "skipped": 1, "not_run": 2, "runs_total": 31}
    assert manifest["modules"]["28"] == "skipped"
    assert manifest["tokens_emitted"] == hit["tokens"]["total"]
    final = hit["phases"][6]["results"][4]["result"]
    assert final["modules"] == {"ok": 31, "error": 0, "skipped": 1, "not_run": 1, "runs_total": 32}


def test_what_goes_wrong_beyond_a_tools_refusal_is_raised() -> None:
    class Full(Heard):
        def emission(self, text: str, /, **others: Any) -> None:
            raise OSError("no space")

    engine = Kira(listener=Full())
    engine.move_to(0.6)
    with pytest.raises(OSError, match="no space"):
        engine.run_module(7)
    assert engine.pipeline.totals()["runs_total"] == 0


@pytest.mark.parametrize("wrong", [0, 34, -1, True, "7", 7.0, None])
def test_a_module_that_is_none_is_refused(wrong: Any) -> None:
    with pytest.raises(InvalidValue, match="1 to 33"):
        Kira().run_module(wrong)


@pytest.mark.parametrize("wrong", [0, 8, True, "phase", "phase9", "three", None, 3.0])
def test_a_phase_that_is_none_is_refused(wrong: Any) -> None:
    with pytest.raises(InvalidValue, match="'phase1' to 'phase7'"):
        Kira().run_phase(wrong)


def test_a_phase_may_be_named_in_three_ways() -> None:
    assert Kira().run_phase(3) == Kira().run_phase("3") == Kira().run_phase("phase3")


@pytest.mark.parametrize(
    ("changed", "path"),
    [
        ({"statuses": {"34": "ok"}}, "pipeline"),
        ({"statuses": {"1": "fine"}}, "pipeline.statuses[...]"),
        ({"runs": -1}, "pipeline.runs"),
        ({"colour": 1}, "pipeline"),
        (None, "pipeline"),
    ],
)
def test_a_wrong_stored_pipeline_is_refused_and_the_engine_stays(changed: object, path: str) -> None:
    engine = Kira(seed=3)
    engine.run_module(1)
    before = engine.state_dict()
    with pytest.raises(InvalidValue) as refused:
        engine.load_state_dict({**Kira(seed=4).state_dict(), "pipeline": changed})
    assert refused.value.path == path
    assert engine.state_dict() == before


def test_a_reset_clears_the_tools_and_the_pipeline() -> None:
    engine = Kira(seed=3)
    engine.cmd_hit_it()
    engine.reset()
    fresh = Kira(seed=3).state_dict()
    assert {name: engine.state_dict()[name] for name in ("tools", "pipeline")} == {
        name: fresh[name] for name in ("tools", "pipeline")
    }


def test_a_checkpoint_after_the_pipeline_is_small() -> None:
    engine = Kira(seed=7)
    engine.cmd_hit_it()
    engine.tokens_emitted, engine.emissions = Counting(14), Counting(2)  # type: ignore[assignment]
    assert len(canonical(encode(engine.state_dict()))) <= 16 * 1024
