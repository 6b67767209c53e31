"""Train a small language model with everything saved: kill it at any instant, run the same line, get the same model.

What Holdfast needs of a program is in `train`: a session that tracks what changes, a loop, and calls that record.
The model is in lm_model.py, the screen in lm_screen.py.
"""

import argparse
import dataclasses
import json
import math
import os
import shlex
import shutil
import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import holdfast
from lm_model import Adam, Corpus, Examiner, Generator, Loader, Model, generators, read_corpus, sample
from lm_screen import Screen, Summary


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the weights follow from, with the seed and the text. `steps` is not among it: a run can be extended."""

    max_characters: int = 3_000_000
    vocabulary: int = 1024
    context: int = 8
    width: int = 48
    hidden: int = 160
    batch: int = 256
    peak_learning_rate: float = 4e-3
    warmup_until: int = 100
    steady_until: int = 1300
    halve_every: int = 400
    sample_every: int = 50
    validate_every: int = 500
    validation_tokens: int = 20_000
    checkpoint_every: int = 300

    def phase(self, step: int) -> str:
        return "warmup" if step < self.warmup_until else "steady" if step < self.steady_until else "decay"

    def learning_rate(self, step: int) -> float:
        """Rise, stay, then halve again and again: by the step alone, so that an extended run goes on as it began."""
        rise = min(1.0, (step + 1) / self.warmup_until)
        halvings = max(0, step - self.steady_until) / self.halve_every
        return self.peak_learning_rate * rise * max(0.02, math.exp2(-halvings))


QUICK = Settings(
    max_characters=300_000,
    vocabulary=256,
    context=4,
    width=16,
    hidden=32,
    batch=32,
    warmup_until=20,
    steady_until=200,
    halve_every=100,
    sample_every=10,
    validate_every=100,
    validation_tokens=2_000,
    checkpoint_every=25,
)


def train(options: argparse.Namespace, settings: Settings, corpus: Corpus, screen: Screen) -> Summary:
    """Train up to `options.steps`, saving all of it, and say how it went."""
    examiner = Examiner(corpus, context=settings.context, most=settings.validation_tokens)
    weights, order, sampler = generators(options.seed, 3)
    model = Model(corpus, context=settings.context, width=settings.width, hidden=settings.hidden, rng=weights)
    optimizer = Adam(model.parameters)
    loader = Loader(corpus.train, window=settings.context + 1, batch=settings.batch, rng=order)

    with holdfast.session(
        options.session,
        root=options.root,
        track={"model": model, "optimizer": optimizer, "loader": loader, "sampler": sampler},
        config={"seed": options.seed, "corpus": corpus.sha256, **_trained_by(settings)},
        save_mode=options.save_mode,
        durability=options.durability,
        extend=options.extend,
    ) as run:
        screen.opened(run)
        baselines = {"unigram": examiner.unigram(), "bigram": examiner.bigram()}
        run.event("corpus", title=corpus.name, sha256=corpus.sha256, tokens=len(corpus.train), baselines=baselines)
        if options.corpus:
            run.file(options.corpus)

        steps_taken, began = 0, time.perf_counter()
        for step in run.loop(options.steps, checkpoint_every=settings.checkpoint_every):
            if not steps_taken:
                screen.started(run, step)
            phase = settings.phase(step)
            if step and phase != settings.phase(step - 1):
                run.transition(settings.phase(step - 1), phase)

            learning_rate, step_began = settings.learning_rate(step), time.perf_counter()
            loss, gradients = model.gradients(next(loader))
            optimizer.step(gradients, learning_rate=learning_rate)
            took_ms = (time.perf_counter() - step_began) * 1e3
            run.metric(step=step, loss=loss, learning_rate=learning_rate, info={"took_ms": round(took_ms, 3)})

            steps_taken += 1
            if (step + 1) % settings.sample_every == 0:
                screen.sampled(_say(run, corpus, model, sampler, phase))
            if (step + 1) % settings.validate_every == 0 or step + 1 == options.steps:
                held_out = examiner.model(model)
                found = {"step": step + 1, "held_out_perplexity": held_out, "weights_sha256": model.sha256()}
                run.module("validation", found, phase=phase)
                screen.validated(held_out)
            screen.stepped(run, step + 1, loss, tokens=steps_taken * settings.batch)
        screen.stop()
        health, seconds = run.health(), time.perf_counter() - began

    workspace = holdfast.Workspace(options.root)
    records = list(workspace.records(options.session, canonical=True))
    measured = [cast(Mapping[str, float], record["values"]) for record in records if record["kind"] == "metric"]
    return Summary(
        session=options.session,
        was_finished=run.finished and not steps_taken,
        attempt=run.attempt,
        resumed_step=run.resumed_step,
        steps=len(measured),
        losses=[values["loss"] for values in measured],
        perplexity={"model": examiner.model(model), **baselines},
        records=dict(Counter(str(record["kind"]) for record in records)),
        checkpoints=len(list(workspace.checkpoints(options.session))),
        bytes=next(found.bytes for found in workspace.sessions() if found.name == options.session),
        ns_per_record=health.ns_per_record,
        cost_share=health.cost_share,
        seconds=seconds,
        digest=workspace.digest(options.session),
        weights_sha256=model.sha256(),
    )


def _say(run: holdfast.Run, corpus: Corpus, model: Model, sampler: Generator, phase: str) -> str:
    """Let the model write twenty tokens and record each as it comes, then the whole line."""
    chances = []

    def heard(token: int, chance: float) -> None:
        chances.append(chance)
        run.token(corpus.vocabulary[token], z=chance, phase=phase, source="sample")

    ids = sample(model, corpus.start, 20, rng=sampler, heard=heard)
    text = corpus.text(ids)
    run.emission(text, tokens=[corpus.vocabulary[token] for token in ids], z=sum(chances) / len(chances), phase=phase)
    return text


def _trained_by(settings: Settings) -> dict[str, object]:
    """All settings but the one that changes no record: how often a checkpoint is taken."""
    return {name: value for name, value in dataclasses.asdict(settings).items() if name != "checkpoint_every"}


def main() -> int:
    """Parse the command line, train, and print what came of it."""
    options = PARSER.parse_args(namespace=argparse.Namespace(root=os.environ.get("HOLDFAST_ROOT") or "training"))
    if options.corpus and not options.corpus.is_file():
        PARSER.error(f"--corpus {options.corpus}: no such file")
    settings = QUICK if options.quick else Settings()
    if options.checkpoint_every:
        settings = dataclasses.replace(settings, checkpoint_every=options.checkpoint_every)
    options.steps = options.steps or _usual_steps(options)
    screen = Screen(steps=options.steps, plain=options.plain, to_stderr=options.json)
    try:
        screen.say(f"reading {options.corpus or 'the Python standard library'} …")
        corpus = read_corpus(options.corpus, max_characters=settings.max_characters, vocabulary_size=settings.vocabulary)
        summary = train(options, settings, corpus, screen)
    except holdfast.Interrupted:
        screen.stop()
        screen.say("stopped, with a checkpoint. Run the same line again: it goes on where it stopped.")
        raise
    except (holdfast.HoldfastError, ValueError, OSError) as error:
        screen.stop()
        print(f"train_lm: {error}", file=sys.stderr)
        return 1
    screen.close(summary, following(options, summary))
    if options.json:
        print(json.dumps(summary.facts(), ensure_ascii=False))
    return 0


def following(options: argparse.Namespace, summary: Summary) -> dict[str, str]:
    """What can be done next, and the line to type for it, which carries what this run was started with."""
    same = []
    for name, value in vars(options).items():
        if name not in ("session", "steps", "extend") and value != PARSER.get_default(name):
            same += [f"--{name.replace('_', '-')}", *([] if value is True else [str(value)])]
    lines = {}
    if summary.was_finished:
        steps = [] if options.steps == _usual_steps(options) else ["--steps", str(options.steps)]
        lines["start another"] = _start(["--session", f"{summary.session}-2", *same, *steps])
        lines["extend it"] = _start(["--session", summary.session, *same, "--extend", "--steps", str(2 * summary.steps)])
    command = "holdfast" if shutil.which("holdfast") else _from_here(Path(sys.executable).with_name("holdfast"))
    at = [] if options.root == PARSER.get_default("root") else ["--root", options.root]
    return lines | {"look further": shlex.join([command, "show", summary.session, *at])}


def _usual_steps(options: argparse.Namespace) -> int:
    return 300 if options.quick else 2500


def _start(words: list[str]) -> str:
    """A line that starts this program with these words, by make where make started it."""
    if "MAKELEVEL" in os.environ:
        return f"make run-lm ARGS={shlex.quote(shlex.join(words).replace('$', '$$'))}"
    return shlex.join([_from_here(Path(sys.executable)), sys.argv[0], *words])


def _from_here(path: Path) -> str:
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--session", default="lm", metavar="NAME", help="the session to begin or go on with")
    parser.add_argument("--steps", type=_at_least_one, metavar="N", help="train up to this step (2500; quick: 300)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of weights, batches and samples")
    parser.add_argument("--corpus", type=Path, metavar="FILE", help="a text to learn instead of Python's own sources")
    parser.add_argument("--root", default="training", metavar="FOLDER", help="the workspace; else HOLDFAST_ROOT")
    parser.add_argument("--save-mode", choices=("continuous", "batch", "checkpoint"), default="continuous")
    parser.add_argument("--durability", choices=("process", "power"), default="process")
    parser.add_argument("--checkpoint-every", type=_at_least_one, metavar="N", help="steps from one to the next")
    parser.add_argument("--extend", action="store_true", help="let a finished session go on to a greater --steps")
    parser.add_argument("--plain", action="store_true", help="lines instead of a live display")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON; all else goes to stderr")
    parser.add_argument("--quick", action="store_true", help="a smaller model and text, about a second")
    return parser


def _at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


PARSER = _parser()

if __name__ == "__main__":
    sys.exit(main())
