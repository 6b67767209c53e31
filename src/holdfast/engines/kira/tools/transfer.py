"""state_transfer and cross_instance_messenger: what goes from one engine to another, sealed so that damage shows."""

import base64
import binascii
import hashlib
import json
from typing import Annotated, Any, Literal

from msgspec import Meta, field

from holdfast.engines.kira.tools.arguments import MAX_SIZE, Count, Name, Plain, Result, plain_value
from holdfast.engines.kira.tools.fingerprint import canonical_json, fingerprint
from holdfast.engines.kira.tools.tool import Kept, Memory, Tool, copied, refused

TRANSFERS_KEPT = 10
MESSAGES_KEPT = 20
CHECKSUM_LENGTH = 8

Hash = Annotated[str, Meta(pattern="^[0-9a-f]{16}$", examples=["0123456789abcdef"])]
Encoded = Annotated[str, Meta(min_length=1, max_length=MAX_SIZE, examples=["eyJhIjoxfQ=="])]
Checksum = Annotated[str, Meta(pattern="^[0-9a-f]{8}$", examples=["e71cf359"])]


class Transfer(Memory):
    target: str
    transfer_hash: str
    size_bytes: Count


class TransferMemory(Memory):
    transfers: Kept[Transfer] = field(default_factory=Kept[Transfer])


class StateTransfer(Tool[TransferMemory]):
    """Packs the engine's state for another instance. Nothing is sent: whoever carries the package has it in the answer."""

    name, default_action, empty = "state_transfer", "status", TransferMemory

    def do_prepare(self, *, target_instance: Annotated[Name, Meta(examples=["kira-2"])]) -> Result:
        """A package with the present state, its hash, and its size as JSON."""
        engine = self.engine
        package = {
            "target": target_instance,
            "number": self.memory.transfers.total + 1,
            "state": engine.state.recorded(),
            "k_formation": engine.state.k_formation(),
            "tokens_emitted": len(engine.tokens_emitted),
            "emissions": len(engine.emissions),
        }
        transfer = Transfer(target=target_instance, transfer_hash=fingerprint(package), size_bytes=len(canonical_json(package)))
        self.memory.transfers.add(transfer, TRANSFERS_KEPT)
        return {"status": "PREPARED", "package": package, **copied(transfer), "transfers": self.memory.transfers.total}

    def do_verify(self, *, package: dict[str, Plain], transfer_hash: Hash) -> Result:
        """Whether a package that arrived is the one that the hash was made of."""
        measured = fingerprint(package)
        return {"verified": measured == transfer_hash, "hash": measured, "expected": transfer_hash}

    def do_status(self) -> Result:
        return {"transfers": self.memory.transfers.total, "recent": copied(self.memory.transfers.items)}


class Message(Memory):
    direction: Literal["encoded", "decoded"]
    checksum: str


class MessengerMemory(Memory):
    messages: Kept[Message] = field(default_factory=Kept[Message])
    encoded: Count = 0
    decoded: Count = 0


class CrossInstanceMessenger(Tool[MessengerMemory]):
    """Messages as base64 of JSON, with a checksum: the first 8 digits of the SHA-256 of that base64 text."""

    name, default_action, empty = "cross_instance_messenger", "status", MessengerMemory

    def do_encode(self, *, payload: Plain) -> Result:
        """Make a message of any plain value."""
        encoded = base64.b64encode(canonical_json(payload).encode("ascii")).decode("ascii")
        if len(encoded) > MAX_SIZE:
            raise refused(self, f"the message would have {len(encoded):,} characters", f"send at most {MAX_SIZE:,}, in parts")
        checksum = _checksum(encoded)
        self.memory.messages.add(Message(direction="encoded", checksum=checksum), MESSAGES_KEPT)
        self.memory.encoded += 1
        return {"encoded": encoded, "checksum": checksum, "size_bytes": len(encoded), **self._counts()}

    def do_decode(self, *, encoded: Encoded, checksum: Checksum) -> Result:
        """The value that a message carries. Refused if it is damaged."""
        payload, complaint = self._opened(encoded, checksum)
        if complaint:
            raise refused(self, f"the message {complaint}", "have it sent again; nothing of it was taken")
        self.memory.messages.add(Message(direction="decoded", checksum=checksum), MESSAGES_KEPT)
        self.memory.decoded += 1
        return {"payload": payload, "checksum": checksum, **self._counts()}

    def do_validate(self, *, encoded: Encoded, checksum: Checksum) -> Result:
        """Whether decode would take the message. Changes nothing."""
        _, complaint = self._opened(encoded, checksum)
        return {"valid": not complaint, "reason": complaint or None}

    def do_status(self) -> Result:
        return {"recent": copied(self.memory.messages.items), **self._counts()}

    def _opened(self, encoded: str, checksum: str) -> tuple[Any, str]:
        """What a message carries, and what is wrong with it ("" if nothing)."""
        measured = _checksum(encoded)
        if measured != checksum:
            return None, f"has the checksum {measured}, and {checksum} was given"
        try:
            text = base64.b64decode(encoded, validate=True).decode("utf-8")
            return plain_value(json.loads(text), f"{self.name}: payload"), ""
        except (binascii.Error, UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
            return None, f"is not base64 of JSON ({error})"

    def _counts(self) -> Result:
        return {"encoded_total": self.memory.encoded, "decoded_total": self.memory.decoded}


def _checksum(encoded: str) -> str:
    return hashlib.sha256(encoded.encode("utf-8")).hexdigest()[:CHECKSUM_LENGTH]
