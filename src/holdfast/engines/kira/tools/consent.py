"""consent_protocol: who agreed to what. Only a yes of everyone asked is a yes; silence is no."""

from typing import Annotated, Literal

from msgspec import Meta, field

from holdfast.engines.kira.tools.arguments import Count, Name, Result, Text
from holdfast.engines.kira.tools.tool import Memory, Tool, copied, refused

RECORDS_KEPT = 64
"""Our choice: when one more is made, the oldest that is not revoked goes; what is not on record is not granted. A
revocation is never forgotten."""

ConsentId = Annotated[Name, Meta(examples=["teaching"])]
Party = Annotated[Name, Meta(examples=["kira"])]
Parties = Annotated[list[Party], Meta(min_length=1, max_length=8, examples=[["kira", "guest"]])]
Answer = Literal["yes", "no"]


class Consent(Memory):
    purpose: str
    answers: dict[str, Literal["yes", "no", "silent"]]
    revoked_by: str = ""

    @property
    def is_granted(self) -> bool:
        return not self.revoked_by and all(answer == "yes" for answer in self.answers.values())


class ConsentMemory(Memory):
    records: dict[str, Consent] = field(default_factory=dict)
    made: Count = 0


class ConsentProtocol(Tool[ConsentMemory]):
    """Asks for consent, takes the answers, and says whether it is granted. A revoked consent stays revoked."""

    name, default_action, empty = "consent_protocol", "list", ConsentMemory

    def do_create(self, *, consent_id: ConsentId, parties: Parties, purpose: Text = "unspecified") -> Result:
        """Ask these parties; until all of them said yes it is not granted."""
        records = self.memory.records
        if consent_id in records:
            raise refused(self, f"consent {consent_id!r} is there already", "check it, or ask under another consent_id")
        if len(records) >= RECORDS_KEPT:
            oldest = next((known for known, record in records.items() if not record.revoked_by), None)
            if oldest is None:
                raise refused(self, f"all {RECORDS_KEPT} consents on record are revoked", "reset the engine to ask anew")
            del records[oldest]
        records[consent_id] = Consent(purpose=purpose, answers=dict.fromkeys(parties, "silent"))
        self.memory.made += 1
        return self._answer(consent_id)

    def do_respond(self, *, consent_id: ConsentId, party: Party, answer: Answer) -> Result:
        """Take one party's answer; it may be changed until the consent is revoked."""
        record = self._record(consent_id)
        if record.revoked_by:
            raise refused(
                self, f"consent {consent_id!r} was revoked by {record.revoked_by}", "ask anew under another consent_id"
            )
        if party not in record.answers:
            raise refused(self, f"{party!r} was not asked for {consent_id!r}", f"those asked are {', '.join(record.answers)}")
        record.answers[party] = answer
        return self._answer(consent_id)

    def do_check(self, *, consent_id: ConsentId) -> Result:
        """Whether it is granted. What was never asked for is not."""
        if consent_id not in self.memory.records:
            return {"consent_id": consent_id, "granted": False, "reason": "nobody was asked; silence is no"}
        return self._answer(consent_id)

    def do_revoke(self, *, consent_id: ConsentId, party: Party) -> Result:
        """Take consent back, for good. Any one of the parties can."""
        record = self._record(consent_id)
        if party not in record.answers:
            raise refused(self, f"{party!r} was not asked for {consent_id!r}", f"those asked are {', '.join(record.answers)}")
        record.revoked_by = record.revoked_by or party
        return self._answer(consent_id)

    def do_list(self) -> Result:
        granted = [consent_id for consent_id, record in self.memory.records.items() if record.is_granted]
        return {"consents": list(self.memory.records), "granted": granted, "made_total": self.memory.made}

    def _record(self, consent_id: str) -> Consent:
        if consent_id not in self.memory.records:
            raise refused(self, f"there is no consent {consent_id!r}", "ask for it with action='create', or see action='list'")
        return self.memory.records[consent_id]

    def _answer(self, consent_id: str) -> Result:
        record = self.memory.records[consent_id]
        silent = [party for party, answer in record.answers.items() if answer == "silent"]
        refusing = [party for party, answer in record.answers.items() if answer == "no"]
        if record.revoked_by:
            reason = f"revoked by {record.revoked_by}"
        elif refusing:
            reason = f"{', '.join(refusing)} said no"
        else:
            reason = f"no answer yet from {', '.join(silent)}; silence is no" if silent else "everyone asked said yes"
        return {
            "consent_id": consent_id,
            "purpose": record.purpose,
            "granted": record.is_granted,
            "answers": copied(record.answers),
            "reason": reason,
        }
