"""state_transfer, cross_instance_messenger, consent_protocol, collective_memory_sync, cloud_training and workspace."""

import base64
import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.engines.kira import Kira
from holdfast.engines.kira.tools.fingerprint import fingerprint
from tests.engines.kira.listening import Heard
from tests.engines.kira.tooling import at_the_lens, does, refuses


def test_a_package_is_known_by_its_hash() -> None:
    engine = at_the_lens()
    prepared = does(engine, "state_transfer", "prepare", target_instance="kira-2")
    package = prepared["package"]
    assert package["state"] == engine.state.recorded()
    assert (prepared["transfer_hash"], prepared["size_bytes"]) == (
        fingerprint(package),
        len(json.dumps(package, separators=(",", ":"))),
    )
    assert does(engine, "state_transfer", "verify", package=package, transfer_hash=prepared["transfer_hash"])["verified"]
    package["state"]["z"] = 0.9
    assert not does(engine, "state_transfer", "verify", package=package, transfer_hash=prepared["transfer_hash"])["verified"]


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(payload=plain)
def test_a_message_brings_back_what_was_put_in(payload: Any) -> None:
    sender, receiver = at_the_lens(), at_the_lens()
    sent = does(sender, "cross_instance_messenger", "encode", payload=payload)
    message = {"encoded": sent["encoded"], "checksum": sent["checksum"]}
    assert json.loads(base64.b64decode(sent["encoded"])) == payload
    assert does(receiver, "cross_instance_messenger", "validate", **message)["valid"]
    assert does(receiver, "cross_instance_messenger", "decode", **message)["payload"] == payload


@pytest.mark.parametrize(
    ("encoded", "why"),
    [("bm8ganNvbg==", "is not base64 of JSON"), ("####", "is not base64 of JSON"), ("W05hTl0=", "cannot be kept")],
)
def test_a_message_that_holds_no_plain_value_is_refused_though_its_checksum_is_right(encoded: str, why: str) -> None:
    checksum = hashlib.sha256(encoded.encode()).hexdigest()[:8]
    assert why in refuses(at_the_lens(), "cross_instance_messenger", "decode", encoded=encoded, checksum=checksum)


def test_a_damaged_message_is_not_valid_and_changes_nothing() -> None:
    engine = at_the_lens()
    sent = does(engine, "cross_instance_messenger", "encode", payload={"z": 0.8})
    damaged = {"encoded": sent["encoded"][:-4] + "AAA=", "checksum": sent["checksum"]}
    assert does(engine, "cross_instance_messenger", "validate", **damaged)["reason"].startswith("has the checksum")
    assert "have it sent again" in refuses(engine, "cross_instance_messenger", "decode", **damaged)


def test_only_a_yes_of_everyone_is_consent() -> None:
    engine = at_the_lens()
    ask = {"consent_id": "teaching"}
    assert not does(engine, "consent_protocol", "check", **ask)["granted"]
    asked = does(engine, "consent_protocol", "create", **ask, parties=["kira", "guest"], purpose="to teach")
    assert (asked["granted"], asked["reason"]) == (False, "no answer yet from kira, guest; silence is no")
    assert not does(engine, "consent_protocol", "respond", **ask, party="kira", answer="yes")["granted"]
    assert does(engine, "consent_protocol", "respond", **ask, party="guest", answer="no")["reason"] == "guest said no"
    assert does(engine, "consent_protocol", "respond", **ask, party="guest", answer="yes")["granted"]
    assert does(engine, "consent_protocol", "list")["granted"] == ["teaching"]
    assert does(engine, "consent_protocol", "revoke", **ask, party="guest")["reason"] == "revoked by guest"
    assert not does(engine, "consent_protocol", "check", **ask)["granted"]
    assert "was revoked by guest" in refuses(engine, "consent_protocol", "respond", **ask, party="guest", answer="yes")
    assert "is there already" in refuses(engine, "consent_protocol", "create", **ask, parties=["kira"])


@pytest.mark.parametrize(
    ("action", "arguments", "why"),
    [
        ("create", {"consent_id": "x", "parties": []}, "parties: Expected `array` of length >= 1"),
        (
            "create",
            {"parties": ["kira"]},
            "consent_id= is missing; for example invoke_tool('consent_protocol', action='create'",
        ),
        ("respond", {"consent_id": "asked", "party": "kira", "answer": "maybe"}, "Invalid enum value 'maybe'"),
        ("respond", {"consent_id": "asked", "party": "stranger", "answer": "yes"}, "those asked are kira"),
        ("revoke", {"consent_id": "asked", "party": "stranger"}, "those asked are kira"),
        ("revoke", {"consent_id": "other", "party": "kira"}, "there is no consent 'other'"),
    ],
)
def test_a_wrong_answer_counts_for_nothing(action: str, arguments: dict[str, Any], why: str) -> None:
    engine = at_the_lens()
    does(engine, "consent_protocol", "create", consent_id="asked", parties=["kira"])
    assert why in refuses(engine, "consent_protocol", action, **arguments)


def test_a_revocation_is_not_forgotten_when_records_are_many() -> None:
    engine = at_the_lens()
    for number in range(3):
        does(engine, "consent_protocol", "create", consent_id=f"revoked {number}", parties=["kira"])
        does(engine, "consent_protocol", "revoke", consent_id=f"revoked {number}", party="kira")
    for number in range(100):
        does(engine, "consent_protocol", "create", consent_id=f"asked {number}", parties=["kira"])
    listed = does(engine, "consent_protocol", "list")
    assert (len(listed["consents"]), listed["made_total"]) == (64, 103)
    assert listed["consents"][:4] == ["revoked 0", "revoked 1", "revoked 2", "asked 39"]


entries = st.dictionaries(
    st.sampled_from(["a", "b", "c"]),
    st.fixed_dictionaries({"value": st.integers(0, 3), "version": st.integers(1, 3), "z": st.sampled_from([0.5, 0.9])}),
    min_size=1,
)


@given(first=entries, second=entries, third=entries)
def test_memories_merge_to_the_same_in_any_order(first: Any, second: Any, third: Any) -> None:
    outcomes = []
    for order in ((first, second, third), (third, first, second), (second, first, third, second)):
        engine = at_the_lens()
        for memories in order:
            does(engine, "collective_memory_sync", "merge", memories=memories)
        outcomes.append(does(engine, "collective_memory_sync", "list")["memories"])
    assert outcomes[0] == outcomes[1] == outcomes[2]


def test_a_stored_value_gets_versions_and_the_better_one_is_taken_over() -> None:
    ours, theirs = at_the_lens(), at_the_lens()
    for value in ("old", "new"):
        does(ours, "collective_memory_sync", "store", key="shared", value=value)
    does(theirs, "collective_memory_sync", "store", key="shared", value="theirs")
    does(theirs, "collective_memory_sync", "store", key="only theirs", value=[1])
    memories = does(theirs, "collective_memory_sync", "list")["memories"]
    merged = does(ours, "collective_memory_sync", "merge", memories=memories)
    assert (merged["taken"], merged["kept"]) == (["only theirs"], ["shared"])
    assert does(ours, "collective_memory_sync", "retrieve", key="shared")["value"] == "new"
    assert does(ours, "collective_memory_sync", "forget", key="shared")["keys"] == 1
    assert "there is nothing under 'shared'" in refuses(ours, "collective_memory_sync", "retrieve", key="shared")


def test_shared_memory_has_limits_that_it_names() -> None:
    engine = at_the_lens()
    for number in range(64):
        does(engine, "collective_memory_sync", "store", key=f"key {number}", value=number)
    assert "64 is the most" in refuses(engine, "collective_memory_sync", "store", key="one more", value=1)
    assert "64 is the most" in refuses(engine, "collective_memory_sync", "merge", memories={"one more": {"value": 1}})
    assert "has 1,002 characters" in refuses(engine, "collective_memory_sync", "store", key="key 1", value="x" * 1_000)
    large = {"key 0": {"value": 9, "version": 9}, "key 1": {"value": "x" * 1_000, "version": 9}}
    assert "has 1,002 characters" in refuses(engine, "collective_memory_sync", "merge", memories=large)


def test_without_a_target_cloud_training_is_skipped_and_remembers_nothing() -> None:
    engine = at_the_lens()
    for action in ("status", "dispatch"):
        assert does(engine, "cloud_training", action)["status"] == "skipped"
    assert engine.tools["cloud_training"].state_dict() == {}


def test_a_request_waits_is_announced_and_is_settled_once() -> None:
    heard = Heard()
    engine = at_the_lens(listener=heard)
    does(engine, "cloud_training", "configure", repository="owner/name", workflow="train.yml")
    made = does(engine, "cloud_training", "dispatch", inputs={"epochs": 3})
    assert (made["status"], made["request_id"], made["inputs"]) == ("WAITING", "request-0001", {"epochs": 3})
    assert heard.events("cloud_training") == [{"request": "request-0001", "repository": "owner/name", "workflow": "train.yml"}]
    does(engine, "cloud_training", "settle", request_id="request-0001", outcome="failed")
    status = does(engine, "cloud_training", "status")
    assert (status["waiting"], status["made_total"], status["failed_total"]) == ([], 1, 1)
    assert "is waiting" in refuses(engine, "cloud_training", "settle", request_id="request-0001", outcome="failed")
    assert "it has no argument 'token'" in refuses(
        engine, "cloud_training", "configure", repository="owner/name", workflow="train.yml", token="secret"
    )


def test_requests_that_nobody_sends_do_not_pile_up() -> None:
    engine = at_the_lens()
    does(engine, "cloud_training", "configure", repository="owner/name", workflow="train.yml")
    for _ in range(16):
        does(engine, "cloud_training", "dispatch")
    assert "16 requests are waiting" in refuses(engine, "cloud_training", "dispatch")


def test_an_export_holds_what_the_tools_remember_and_its_digest_follows_it() -> None:
    engine = at_the_lens()
    assert does(engine, "workspace")["status"] == "NOT_INITIALIZED"
    does(engine, "workspace", "init", name="demo")
    does(engine, "coordinate_logger", "log", event="here")
    first = does(engine, "workspace", "export")
    assert json.loads(first["documents"]["log.json"]) == engine.tools["coordinate_logger"].state_dict()
    assert json.loads(first["documents"]["state.json"])["state"] == engine.state.recorded()
    assert first["sizes"] == {name: len(text) for name, text in first["documents"].items()}
    again = does(engine, "workspace", "export", with_documents=False)
    assert again["digest"] == first["digest"]
    assert "documents" not in again
    does(engine, "coordinate_logger", "log", event="again")
    assert does(engine, "workspace", "export")["digest"] != first["digest"]
    assert "is 'demo' already" in refuses(engine, "workspace", "init", name="other")


@pytest.mark.parametrize("name", ["", "../up", "a/b", " x", ".hidden", "x" * 81])
def test_a_workspace_has_a_name_that_a_folder_can_have(name: str) -> None:
    assert "name: Expected" in refuses(Kira(), "workspace", "init", name=name)
