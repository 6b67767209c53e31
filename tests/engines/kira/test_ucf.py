"""The /ucf: commands: all 44 names, their arguments, and that what is wrong is answered and changes nothing."""

import inspect
from typing import Any

import pytest

from holdfast.codec import encode
from holdfast.engines.kira import Kira
from holdfast.engines.kira.constants import Z_CRITICAL
from holdfast.engines.kira.lattice import LATTICE
from holdfast.engines.kira.tools.registry import ToolBox
from holdfast.engines.kira.ucf import COMMANDS, Ucf
from tests.engines.kira.listening import Heard

LISTED = """
helix detector verifier logger transfer consent messenger discovery trigger memory shed vaultnode
emission control cybernetic spinner index vault archetypal orchestrator workspace cloud
phase1 phase2 phase3 phase4 phase5 phase6 phase7 pipeline
grammar discourse coherence generation semantics dialogue
apl tokens972 tier
status triad codex constants help
"""

# What a name needs to succeed at the lens, where it needs anything.
ARGUMENTS = {
    "emission": "concepts=pattern,lens",
    "grammar": "the lens crystallizes consciousness",
    "discourse": "The lens holds. The lens emerges.",
    "dialogue": "what is the lens",
}


def at_the_lens(**options: Any) -> Kira:
    engine = Kira(seed=5, **options)
    engine.move_to(Z_CRITICAL)
    return engine


def test_the_names_are_the_44_given() -> None:
    assert set(COMMANDS) == set(LISTED.split())
    assert len(COMMANDS) == len(set(COMMANDS)) == 44


@pytest.mark.parametrize("name", [*COMMANDS, *(name for name in ToolBox.facts if name not in COMMANDS)])
def test_every_command_works_and_answers_with_what_can_be_stored(name: str) -> None:
    done = at_the_lens().ucf.execute_command(f"/ucf:{name}", ARGUMENTS.get(name.removesuffix("_pipeline")))
    assert (done.command, done.status, done.timestamp) == (f"/ucf:{name}", "SUCCESS", None)
    assert done.result
    encode(done.result)


def test_tokens972_gives_the_whole_lattice_and_announces_nothing() -> None:
    heard = Heard()
    engine = Kira(listener=heard)
    result = engine.ucf.execute_command("/ucf:tokens972").result
    assert list(result) == ["total_tokens", "formula", "sample", "tokens", "message"]
    assert (result["total_tokens"], result["tokens"], result["sample"]) == (972, list(LATTICE), list(LATTICE[:10]))
    assert engine.last_spin_tokens == list(LATTICE)
    assert len(engine.tokens_emitted) == 0
    assert heard.all == []


def test_pipeline_and_phases_are_those_of_the_engine() -> None:
    assert Kira(seed=3).ucf.execute_command("pipeline").result == Kira(seed=3).cmd_hit_it()
    assert Kira(seed=3).ucf.execute_command("/ucf:phase3").result == Kira(seed=3).run_phase("phase3")


@pytest.mark.parametrize(
    ("command", "args"),
    [
        ("/ucf:consent", {"action": "create", "consent_id": "teaching", "parties": ["kira", "guest"]}),
        ("/ucf:consent", '{"action": "create", "consent_id": "teaching", "parties": ["kira", "guest"]}'),
        ("/ucf:consent", "action=create consent_id=teaching parties=kira,guest"),
        ("/ucf:consent create consent_id=teaching parties=kira,guest", None),
        ("consent create consent_id='teaching' parties='[\"kira\", \"guest\"]'", ""),
        ('/ucf:consent_protocol {"action": "create", "consent_id": "teaching", "parties": ["kira", "guest"]}', None),
    ],
)
def test_arguments_may_be_given_in_any_of_these_ways(command: str, args: Any) -> None:
    done = at_the_lens().ucf.execute_command(command, args)
    assert done.result["answers"] == {"kira": "silent", "guest": "silent"}


def test_typed_values_become_what_the_argument_takes() -> None:
    engine = at_the_lens()
    assert engine.ucf.execute_command("/ucf:control run steps=3").result["ran"] == 3
    assert engine.ucf.execute_command("/ucf:memory store key=7 value=7").result["stored"] == "7"
    assert engine.ucf.execute_command("/ucf:memory retrieve key=7").result["value"] == 7
    assert engine.ucf.execute_command("/ucf:memory store key=word value=seven").result["version"] == 1
    assert engine.ucf.execute_command("/ucf:memory retrieve key=word").result["value"] == "seven"


@pytest.mark.parametrize(
    ("command", "args", "why"),
    [
        ("/ucf:tokens", None, "there is no such command; did you mean tokens972"),
        ("/ucf:xyzzy", None, "/ucf:help lists the 44 there are"),
        ("", None, "a command belongs here, and '' came"),
        (None, None, "a command belongs here, and None came"),
        ("/ucf:tier", 7, "arguments are a text or a mapping, and int came"),
        ("/ucf:tier", {1: 2}, "the names of arguments are texts"),
        ("/ucf:tier", "now", "it takes no arguments; leave 'now' out"),
        ("/ucf:phase3", "fast", "it takes no arguments; leave 'fast' out"),
        ("/ucf:tier", {"now": True}, "it has no argument 'now'; it takes none"),
        ("/ucf:grammar", None, "text= is missing; for example /ucf:grammar text="),
        ("/ucf:grammar", "...", "there is no word in '...'"),
        ("/ucf:emission", None, "concepts= is missing"),
        ("/ucf:control", "run steps=many", "steps: Expected `int`, got `str`"),
        ("/ucf:control", "run 3", "'3' is no key=value"),
        ("/ucf:control", "run steps=3 steps=4", "steps= is given twice"),
        ("/ucf:control", "run steps='3", "No closing quotation"),
        ("/ucf:control", '{"action": ', "the arguments are no JSON"),
        ("/ucf:memory", '{"action": "store", "key": "k", "value": NaN}', "cannot be kept"),
        ("/ucf:memory", "{" * 100_000, "the arguments are no JSON"),
        ("/ucf:control run", {"steps": 3}, "give them in one place"),
        ("/ucf:control", {"action": 7}, "it has no action 7"),
        ("/ucf:generation", {"concepts": []}, "concepts: Expected `array` of length >= 1"),
    ],
)
def test_what_is_wrong_is_answered_and_changes_nothing(command: Any, args: Any, why: str) -> None:
    heard = Heard()
    engine = at_the_lens()
    engine.listener = heard
    before = engine.state_dict()
    done = engine.ucf.execute_command(command, args)
    assert done.status == "ERROR"
    assert why in done.result["error"]
    assert engine.state_dict() == before
    assert heard.all == []


def test_a_tool_out_of_reach_is_an_error() -> None:
    done = Kira().ucf.execute_command("/ucf:spinner", "step")
    assert (done.status, done.result["error"]) == ("ERROR", "Insufficient elevation")


def test_discourse_looks_at_each_sentence_and_at_all_of_them() -> None:
    result = Kira().ucf.execute_command("/ucf:discourse", "alpha beta gamma delta. alpha beta omega delta").result
    assert [len(sentence["analysis"]) for sentence in result["sentences"]] == [4, 4]
    assert result["coherence"]["base_coherence"] == 0.6


def test_help_says_what_every_command_does() -> None:
    result = Kira().ucf.execute_command("help").result
    assert set(result["commands"]) == set(COMMANDS)
    assert all(len(text) > 10 for text in result["commands"].values())


def test_no_method_of_a_command_is_without_its_name() -> None:
    methods = {name.removeprefix("do_") for name, _ in inspect.getmembers(Ucf, inspect.isfunction) if name.startswith("do_")}
    assert methods < set(COMMANDS)


def test_typed_lines_reach_the_commands() -> None:
    engine = Kira(seed=3)
    reply = engine.execute("/ucf:tier")
    assert (reply["type"], reply["result"]["command"], reply["result"]["tier"]) == ("command", "/ucf:tier", "t4")
    refused = engine.execute("/ucf:nothing")
    assert (refused["type"], refused["result"]["command"]) == ("error", "/ucf:nothing")
    assert engine.execute("/ucf:help")["result"]["count"] == 44
    for line in ("/hit_it", "/hitit", "/hit"):
        assert engine.execute(line)["result"]["pipeline"]["counts"]["ok"] == 32
    assert "/hit_it" in engine.execute("/help")["result"]["text"]
