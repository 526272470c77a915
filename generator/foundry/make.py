"""The whole work: the full model from its weights, the static one from its answers, and the measured comparison."""

import shutil
import tempfile
from pathlib import Path

import numpy as np
import onnx
from safetensors.numpy import load_file

from foundry.cards import renew
from foundry.corpus import read_passages, training_texts
from foundry.distil import Recipe, bags, fit, isolated_meanings, starting_table
from foundry.encoder import Encoder
from foundry.evaluate import measure, render
from foundry.lessons import Floats, take_lessons
from foundry.manifest import MODEL, TOKENIZER, Description, write_manifest
from foundry.reference import reference_embedding
from foundry.static_graph import static_model
from foundry.teacher import (
    DIMENSION,
    MAX_TOKENS,
    Teacher,
    encoder_shape,
    fetch_teacher,
    teacher_model,
    teacher_tokenizer,
)
from foundry.vocabulary import Vocabulary, reduce_vocabulary, student_tokenizer

STATIC_MAX_TOKENS = 512
TOLERANCE = 1e-5
PROBE = "Models open at start-up, warm up, and only then does readiness turn true."
FULL_NOTICE = """all-MiniLM-L6-v2, by the Sentence Transformers team, licensed under the Apache License, Version 2.0.
Changed: converted from safetensors to ONNX, with mean pooling and normalisation inside the graph.
"""


def make_full(folder: Path, cache: Path, licensed: Path) -> None:
    """Write the full all-MiniLM-L6-v2 to ``folder``, in the shape that the service reads.

    Args:
        folder: Where to write.
        cache: Where downloads are kept.
        licensed: A folder that holds the text of the licence.

    Raises:
        SystemExit: The graph disagrees with the independent computation.
    """
    source = fetch_teacher(cache)
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(teacher_model(source), folder / MODEL)
    tokenizer = teacher_tokenizer(source)
    tokenizer.save(str(folder / TOKENIZER), pretty=False)
    expected = reference_embedding(
        load_file(source / "model.safetensors"), encoder_shape(source), tokenizer.encode(PROBE).ids
    )
    difference = float(np.abs(Encoder(folder).encode([PROBE])[0] - expected).max())
    if difference > TOLERANCE:
        raise SystemExit(f"The converted model is off by {difference:.1e}: this onnxruntime reads the graph otherwise.")
    shutil.copyfile(licensed / "LICENSE", folder / "LICENSE")
    (folder / "NOTICE").write_text(FULL_NOTICE, encoding="utf-8")
    shutil.copyfile(source / "README.md", folder / "model-card.md")
    write_manifest(folder, Description("all-MiniLM-L6-v2", "1", DIMENSION, MAX_TOKENS))
    print(f"{folder}: within {difference:.1e} of the reference")


def make_static(folder: Path, cache: Path, recipe: Recipe) -> None:
    """Fit the static model and write it to ``folder``; the unfitted start goes to the cache for comparison."""
    teacher = Teacher(fetch_teacher(cache))
    vocabulary = reduce_vocabulary(teacher.tokenizer)
    texts = training_texts(read_passages(cache), "fit")
    lessons = take_lessons(teacher, texts, cache, "fit")
    start = starting_table(isolated_meanings(teacher, vocabulary), lessons, vocabulary, recipe)
    tokenizer = student_tokenizer(teacher.tokenizer, vocabulary, STATIC_MAX_TOKENS)
    table = fit(start, bags(texts, tokenizer, len(vocabulary.tokens)), lessons.sentences, recipe)
    _write_static(cache / "unfitted", start, teacher, vocabulary)
    _write_static(folder, table, teacher, vocabulary)


def measure_static(folder: Path, cache: Path) -> None:
    """Compare teacher, start and result on the judging documents and put the table into the model's card."""
    full = cache / "all-MiniLM-L6-v2"
    make_full(full, cache, folder)
    encoders = {"teacher": Encoder(full), "unfitted": Encoder(cache / "unfitted"), "this model": Encoder(folder)}
    passages = [passage for passage in read_passages(cache) if passage.split == "judge"]
    table = render(measure(encoders, passages))
    renew(folder / "model-card.md", table)
    print(table)


def _write_static(folder: Path, table: Floats, teacher: Teacher, vocabulary: Vocabulary) -> None:
    with tempfile.TemporaryDirectory() as made:
        onnx.save(static_model(table), Path(made) / MODEL)
        student_tokenizer(teacher.tokenizer, vocabulary, STATIC_MAX_TOKENS).save(f"{made}/{TOKENIZER}", pretty=False)
        folder.mkdir(parents=True, exist_ok=True)
        for name in (MODEL, TOKENIZER):
            shutil.copyfile(Path(made) / name, folder / name)
    write_manifest(folder, Description("static-minilm", "1", table.shape[1], STATIC_MAX_TOKENS))
