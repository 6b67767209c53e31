"""K-formation by typed commands, under both thresholds, killed twice on the way: `python -m tests.engines.kira.k_formation`."""

import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from holdfast import Workspace
from tests.helpers.talking import Talk

SEED = 7
UP, DOWN = "/evolve 0.88", "/evolve 0.80"
KILLED_AFTER, KILLED_WITHIN = 2, 5
"""The line whose reply was read before the first kill, and the one that was sent before the second, its reply not awaited."""


@dataclass(frozen=True, kw_only=True)
class Formed:
    """How it went: where the last reply stands, the number of lines, of processes, and the digest."""

    state: dict[str, Any]
    lines: int
    attempts: int
    digest: str


def form(root: Path, threshold: int, *, is_killed: bool, tell: Callable[[str], object] = lambda text: None) -> Formed:
    """Go up and down with typed commands until K is formed."""
    state: dict[str, Any] = {}
    for kill in ("after", "within", "") if is_killed else ("",):
        with Talk(root, "--seed", SEED, "--k-threshold", threshold) as talk:
            lines, attempt = talk.opening["lines"], talk.opening["attempt"]
            tell(f"  process {attempt} goes on behind line {lines}" if lines else f"  process {attempt} begins")
            for reply in _replies(talk, lines, kill):
                state = reply["state"]
                tell(_in_words(reply))
                if state["k_formed"]:
                    assert talk.end() == (0, "")
                    return Formed(state=state, lines=reply["number"], attempts=attempt, digest=Workspace(root).digest("kira"))
        how = f"line {KILLED_WITHIN} was sent, its reply not awaited" if kill == "within" else f"reply {KILLED_AFTER} was read"
        tell(f"  kill -9: {how}")
    raise AssertionError("K was not formed")


def _replies(talk: Talk, lines: int, kill: str) -> Iterator[dict[str, Any]]:
    """The replies up to where the process is to be killed, or to the end. One that an earlier process owes comes first."""
    number = lines + 1
    if talk.opening["owed"]:
        yield talk.read()
    while number <= 100:
        line = UP if number % 2 else DOWN
        if kill == "within" and number == KILLED_WITHIN:
            talk.send(line)
            return
        yield talk.say(line)
        if kill == "after" and number == KILLED_AFTER:
            return
        number += 1


def _in_words(reply: dict[str, Any]) -> str:
    state = reply["state"]
    told = " ".join(reply["result"]["events"])
    formed = f"  K formed, R {state['triad_completions']} ≥ {state['k_threshold']}" if state["k_formed"] else ""
    owed = "  (owed by the process before)" if reply["replayed"] else ""
    where = f"z {state['z']:.4f}  κ {state['coherence']:.3f}  η {state['negentropy']:.3f}"
    return f"  {reply['number']:>3} › {reply['line']}   {where}  {told}{formed}{owed}"


def main() -> int:
    """Show it; 1 where a killed conversation ends otherwise than one that was not."""
    is_same = True
    with tempfile.TemporaryDirectory() as folder:
        for threshold in (3, 7):
            print(f"k_threshold {threshold}")
            killed = form(Path(folder, f"killed{threshold}"), threshold, is_killed=True, tell=print)
            whole = form(Path(folder, f"whole{threshold}"), threshold, is_killed=False)
            is_same = is_same and killed.digest == whole.digest
            print(f"  k_formed {killed.state['k_formed']} behind {killed.lines} lines, in {killed.attempts} processes")
            print(f"  digest, killed twice  {killed.digest}\n  digest, never killed  {whole.digest}")
    print("the digests are equal" if is_same else "THE DIGESTS DIFFER")
    return 0 if is_same else 1


if __name__ == "__main__":
    sys.exit(main())
