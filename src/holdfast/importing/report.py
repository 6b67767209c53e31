"""What an import did, and what was odd."""

from collections import Counter
from collections.abc import Sequence

import msgspec

from holdfast.importing.findings import COPY, OVERWRITTEN, Finding
from holdfast.importing.look import Looked

ADDED, KNOWN, SAME, SKIPPED = "added", "known", "copy", "skipped"
"""What becomes of a file: its records were added, were there before, stand in another file too, or it was not read."""


class FileReport(msgspec.Struct, frozen=True):
    """One file. records: what it holds, by kind; added: how many of them are new. dialect: of its tokens."""

    path: str
    kind: str
    status: str
    session: str = ""
    reason: str = ""
    records: dict[str, int] = {}
    added: int = 0
    dialect: str = ""
    sha256: str = ""


class ImportReport(msgspec.Struct, frozen=True):
    """Everything. added: new records, by session."""

    source: str
    files: tuple[FileReport, ...]
    findings: tuple[Finding, ...]
    added: dict[str, int]

    def kinds(self) -> dict[str, list[FileReport]]:
        """The files that were read, by kind."""
        found: dict[str, list[FileReport]] = {}
        for file in self.files:
            if file.status != SKIPPED:
                found.setdefault(file.kind, []).append(file)
        return dict(sorted(found.items()))

    def skipped(self) -> Counter[str]:
        """How many files were not read, by reason."""
        return Counter(file.reason for file in self.files if file.status == SKIPPED)


def copies_of(looked: Sequence[Looked]) -> dict[str, str]:
    """The path of each file whose content an earlier one has, and that one's."""
    first: dict[str, str] = {}
    copies: dict[str, str] = {}
    for file in looked:
        if file.sha256 in first:
            copies[file.found.path] = first[file.sha256]
        else:
            first[file.sha256] = file.found.path
    return copies


def across_files(looked: Sequence[Looked], copies: dict[str, str]) -> list[Finding]:
    """What is odd only where files are seen side by side."""
    findings = [Finding(COPY, path, "", f"the same content as {other}: counted once") for path, other in copies.items()]
    by_epoch: dict[tuple[int, str], list[Looked]] = {}
    sessions: dict[int, dict[str, str]] = {}
    for file in looked:
        if file.epoch is None or file.found.path in copies:
            continue
        by_epoch.setdefault((file.epoch, file.kind or ""), []).append(file)
        if file.session_id:
            sessions.setdefault(file.epoch, {}).setdefault(file.session_id, file.found.path)
    for (epoch, kind), files in sorted(by_epoch.items()):
        for later in files[1:]:
            what = f"epoch {epoch} has its {kind} twice: here {later.written or 'without a time'}, in {files[0].found.path} "
            findings.append(Finding(OVERWRITTEN, later.found.path, "", what + (files[0].written or "without a time")))
    for epoch, known in sorted(sessions.items()):
        if len(known) > 1:
            told = ", ".join(f"{name} ({path})" for name, path in known.items())
            findings.append(
                Finding(OVERWRITTEN, [*known.values()][-1], "session_id", f"epoch {epoch} is of {len(known)} sessions: {told}")
            )
    return findings
