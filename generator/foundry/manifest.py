"""The folder shape that the service reads: model.json names the files beside it and their checksums."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

MANIFEST = "model.json"
MODEL = "model.onnx"
TOKENIZER = "tokenizer.json"


@dataclass(frozen=True)
class Description:
    """What a service must know of an embedding model before it opens it."""

    name: str
    version: str
    dimension: int
    max_tokens: int


def checksum(path: Path) -> str:
    """Return the file's SHA-256 in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_manifest(folder: Path, description: Description) -> None:
    """Write model.json for the model and tokenizer that lie in ``folder``."""
    content = {
        "name": description.name,
        "version": description.version,
        "dimension": description.dimension,
        "max_tokens": description.max_tokens,
        "files": {name: checksum(folder / name) for name in (MODEL, TOKENIZER)},
    }
    (folder / MANIFEST).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def problems(folder: Path, *, size_limit: int) -> list[str]:
    """Return one line for each way in which ``folder`` breaks its manifest or the limit, in bytes."""
    recorded: dict[str, str] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
    found = [f"{name} is missing" for name in recorded if not (folder / name).is_file()]
    present = [name for name in recorded if (folder / name).is_file()]
    found += [f"{name} does not match its checksum" for name in present if checksum(folder / name) != recorded[name]]
    size = sum((folder / name).stat().st_size for name in present)
    if size > size_limit:
        found.append(f"the files are {size:,} bytes together, over the limit of {size_limit:,}")
    return found
