"""Scores of captions against references, computed by pycocoevalcap, which the field compares with.

pycocoevalcap is the code of the COCO caption challenge (Chen et al., "Microsoft COCO Captions: Data Collection and
Evaluation Server", 2015), packaged for Python 3. Its METEOR is a Java program; all other scores need Python alone.
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
    "no Java was found: METEOR is left out, and all other scores are computed. To have METEOR, install a Java runtime "
    "(version 8 or later, such as Debian's default-jre-headless) on every machine before the sweep; trials that are "
    "done stay as they are"
)
JAVA_SECONDS = 30  # that `java -version` may take
LIMIT, LIMIT_EACH = 300.0, 1.0  # seconds that METEOR may take: to start on a busy machine, and for each image
# Decimal points and UTF-8 on every machine: Java takes both from the locale, but on macOS not from LC_ALL. What the
# environment adds to its options could change either, or its memory: `_JAVA_OPTIONS` outranks the command line.
LOCALE = {"LC_ALL": "C.UTF-8"}
LEFT_OUT = ("_JAVA_OPTIONS", "JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "CLASSPATH", "LANG", "LANGUAGE")
PROPERTIES = ("-Duser.language=en", "-Duser.country=US", "-Dfile.encoding=UTF-8")
Captions = dict[int, list[str]]  # as the package takes them: texts by image, their words separated by blanks


def scores(captions: Sequence[str], references: Sequence[Sequence[str]], meteor: bool) -> dict[str, float | None]:
    """Returns the corpus scores of one caption per image against that image's references, by the names in SCORES.

    All scores are fractions, except CIDEr, which is on the package's scale of 0 to 10. CIDEr takes its document
    frequencies from these references, so a single image has a CIDEr of 0. `meteor` is None where it is not asked
    for or where there is no Java.

    `data.tokens.words` cuts captions into words. The challenge uses the tokenizer of the Penn Treebank, which is
    a Java program; BLEU must not depend on whether Java is installed. The two differ little, since the challenge drops
    punctuation as well, but "isn't" is one word here and two there.

    An empty caption matches nothing. References without any word are left out, and so are images that have no other
    reference. ValueError where there are not as many captions as images; UserError where no image has a reference, or
    where Java fails.
    """
    kept = [
        (" ".join(words(caption)), texts)
        for caption, of_image in zip(captions, references, strict=True)
        if (texts := [text for reference in of_image if (text := " ".join(words(reference)))])
    ]
    if not kept:
        raise UserError("no image has a reference caption with a word in it: captions cannot be scored without any")
    texts_by_image: Captions = {image: [caption] for image, (caption, _) in enumerate(kept)}
    reference_texts: Captions = {image: texts for image, (_, texts) in enumerate(kept)}
    bleu, rouge_l, cider = _in_python(texts_by_image, reference_texts)
    values = [*bleu, _meteor(texts_by_image, reference_texts) if meteor and java() else None, rouge_l, cider]
    return dict(zip(SCORES, values, strict=True))


def _in_python(captions: Captions, references: Captions) -> tuple[list[float], float, float]:
    """Returns BLEU-1 to BLEU-4, ROUGE-L and CIDEr."""
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.rouge.rouge import Rouge

    bleu, _ = Bleu(4).compute_score(references, captions, verbose=0)
    rouge_l, _ = Rouge().compute_score(references, captions)
    cider, _ = Cider().compute_score(references, captions)
    return [float(value) for value in bleu], float(rouge_l), float(cider)


@cache
def java() -> str | None:
    """Returns the path of a Java that starts, or None. Looks for it once per process."""
    path = shutil.which("java")
    if path is None:
        return None
    try:
        done = subprocess.run(
            [path, "-version"],
            env=_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=JAVA_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return path if done.returncode == 0 else None  # macOS ships a `java` that only offers to install one


def _environment() -> dict[str, str]:
    """Returns the environment for Java: this process's, without what would give Java other options or a locale."""
    kept = {name: value for name, value in os.environ.items() if name not in LEFT_OUT and not name.startswith("LC_")}
    return kept | LOCALE


def _meteor(captions: Captions, references: Captions) -> float:
    """Returns METEOR 1.5, computed by a Java process that ends with this call, whatever happens."""
    from pycocoevalcap.meteor import meteor

    class Meteor(meteor.Meteor):
        """The package's class around a process of ours: its own `__del__` waits for ever after a failure."""

        def __init__(self, process: subprocess.Popen[bytes]) -> None:
            self.meteor_p, self.lock = process, threading.Lock()

        def __del__(self) -> None:
            pass

    folder = Path(meteor.__file__).resolve().parent
    options = ("-jar", "-Xmx2G", meteor.METEOR_JAR, "-", "-", "-stdio", "-l", "en", "-norm")  # the package's own
    limit = LIMIT + LIMIT_EACH * len(captions)
    with tempfile.TemporaryFile() as errors:
        try:
            with _process([java() or "java", *PROPERTIES, *options], folder, limit, errors.fileno()) as process:
                value, _ = Meteor(process).compute_score(references, captions)
            if not 0 <= value <= 1:
                raise ValueError(f"a METEOR of {value:g}")
        except (OSError, ValueError) as error:  # a broken pipe, a line that is no number or no METEOR
            errors.seek(0)
            lines = errors.read().decode(errors="replace").split("\n")
            last_line = next((line.strip() for line in reversed(lines) if line.strip()), "") or str(error)
            raise UserError(
                f"METEOR's Java process failed, or took longer than {limit:.0f} seconds ({last_line}): see that `java "
                "-version` is 8 or later and that 2 GB of memory are free; without Java METEOR is left out"
            ) from error
    return float(value)


@contextmanager
def _process(command: Sequence[str], folder: Path, limit: float, errors: int) -> Iterator[subprocess.Popen[bytes]]:
    """Runs a process in a folder and kills it at the end of the block, or after `limit` seconds."""
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, cwd=folder, env=_environment(), stdin=pipe, stdout=pipe, stderr=errors)
    timer = threading.Timer(limit, process.kill)  # a reader of its output then meets the end of the file
    timer.daemon = True
    timer.start()
    try:
        yield process
    finally:
        timer.cancel()
        process.kill()
        process.wait()
        for pipe_end in (process.stdin, process.stdout):
            with suppress(OSError):  # nobody is left to read what was not written yet
                if pipe_end is not None:
                    pipe_end.close()
