"""Scores of captions against references, by the implementation that the field compares with: pycocoevalcap.

It is the code of the COCO caption challenge (Chen et al., "Microsoft COCO Captions: Data Collection and Evaluation
Server", 2015), packed for Python 3. METEOR is a Java program in it; all other scores need Python alone.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from data.errors import UserError
from data.tokens import words

SCORES = ("bleu1", "bleu2", "bleu3", "bleu4", "meteor", "rouge_l", "cider")
NO_JAVA = (
    "no Java was found, so METEOR is left out and all other scores are given: to have it, install a Java runtime "
    "(version 8 or later, such as Debian's default-jre-headless) before the sweep, on every machine; trials that are "
    "done stay as they are"
)
ASKING = 30  # seconds that `java -version` may take
LIMIT, LIMIT_EACH = 300.0, 1.0  # seconds that METEOR may take: to start on a busy machine, and for each image
# Decimal points and UTF-8, wherever the machine is: Java takes both from the locale, on macOS not from LC_ALL.
LOCALE = {"LC_ALL": "C.UTF-8"}
PROPERTIES = ("-Duser.language=en", "-Duser.country=US", "-Dfile.encoding=UTF-8")
Captions = dict[int, list[str]]  # as the package wants them: by image, each a text of words with blanks between


def scores(said: Sequence[str], references: Sequence[Sequence[str]], meteor: bool) -> dict[str, float | None]:
    """The corpus scores of one caption an image against that image's references, by the names in SCORES.

    All are fractions but CIDEr, which is on the package's scale of 0 to 10, with document frequencies of these
    references; so one image alone has a CIDEr of 0. `meteor` is None where it is not asked for, or there is no Java.

    Captions are cut into words by `data.tokens.words`, and not by the Penn Treebank's tokenizer of the challenge: that
    one is a Java program too, and what BLEU is must not depend on whether Java is there. They differ little, since
    the challenge drops punctuation as well; but "isn't" is one word here and two there.

    An empty caption is right about nothing. References without any word are left out, and so are images that have
    no other. ValueError where there are not as many captions as images; UserError where no image has a reference,
    or Java fails.
    """
    kept = [
        (" ".join(words(caption)), texts)
        for caption, of_image in zip(said, references, strict=True)
        if (texts := [text for reference in of_image if (text := " ".join(words(reference)))])
    ]
    if not kept:
        raise UserError("no image has a reference caption with a word in it: captions cannot be scored without any")
    found: Captions = {image: [caption] for image, (caption, _) in enumerate(kept)}
    wanted: Captions = {image: texts for image, (_, texts) in enumerate(kept)}
    bleu, rouge_l, cider = _in_python(found, wanted)
    values = [*bleu, _meteor(found, wanted) if meteor and java() else None, rouge_l, cider]
    return dict(zip(SCORES, values, strict=True))


def _in_python(found: Captions, wanted: Captions) -> tuple[list[float], float, float]:
    """BLEU-1 to -4, ROUGE-L and CIDEr."""
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.rouge.rouge import Rouge

    bleu, _ = Bleu(4).compute_score(wanted, found, verbose=0)
    rouge_l, _ = Rouge().compute_score(wanted, found)
    cider, _ = Cider().compute_score(wanted, found)
    return [float(value) for value in bleu], float(rouge_l), float(cider)


@cache
def java() -> str | None:
    """The Java that METEOR would run on, a path; None where there is none that starts. Looked for once a process."""
    path = shutil.which("java")
    if path is None:
        return None
    try:
        done = subprocess.run([path, "-version"], stdin=subprocess.DEVNULL, capture_output=True, timeout=ASKING)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return path if done.returncode == 0 else None  # macOS has a program of that name that only offers to install it


def _meteor(found: Captions, wanted: Captions) -> float:
    """METEOR 1.5, of a Java process that ends with this call, whatever happens."""
    from pycocoevalcap.meteor import meteor

    class Meteor(meteor.Meteor):
        """The package's, with a process and a lock of ours: its own deletion waits for ever after a failure."""

        def __init__(self, process: subprocess.Popen[bytes]) -> None:
            self.meteor_p, self.lock = process, threading.Lock()

        def __del__(self) -> None:
            pass

    folder = Path(meteor.__file__).resolve().parent
    options = ("-jar", "-Xmx2G", meteor.METEOR_JAR, "-", "-", "-stdio", "-l", "en", "-norm")  # those of the package
    limit = LIMIT + LIMIT_EACH * len(found)
    with tempfile.TemporaryFile() as errors:
        try:
            with _process([java() or "java", *PROPERTIES, *options], folder, limit, errors.fileno()) as process:
                value, _ = Meteor(process).compute_score(wanted, found)
        except (OSError, ValueError) as error:  # a pipe that is broken, a line that is no number
            errors.seek(0)
            told = errors.read().decode(errors="replace").split("\n")
            said = next((line.strip() for line in reversed(told) if line.strip()), "") or str(error)
            raise UserError(
                f"METEOR's Java process failed, or took longer than {limit:.0f} seconds ({said}): see that `java "
                "-version` is 8 or later and that 2 GB of memory are free; without Java METEOR is left out"
            ) from error
    return float(value)


@contextmanager
def _process(command: Sequence[str], folder: Path, limit: float, errors: int) -> Iterator[subprocess.Popen[bytes]]:
    """A process in that folder that is killed at the end of the block, or after `limit` seconds."""
    environment = {**os.environ, **LOCALE}
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, cwd=folder, env=environment, stdin=pipe, stdout=pipe, stderr=errors)
    timer = threading.Timer(limit, process.kill)  # whoever reads from it then sees that it has ended
    timer.daemon = True
    timer.start()
    try:
        yield process
    finally:
        timer.cancel()
        process.kill()
        process.wait()
        for pipe_end in (process.stdin, process.stdout):
            with suppress(OSError):  # what was not written yet has nobody left to read it
                pipe_end.close()
