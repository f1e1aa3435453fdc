"""Markdown documents to passages: the pure text half of the data recipe.

A document is split into blocks (heading, paragraph, list item, table row, fenced code), blocks into
sentences, and sentences packed in order into passages of at most PASSAGE_CHARS_MAX characters.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

PASSAGE_CHARS_MAX = 280
PASSAGE_CHARS_MIN = 40
HELD_OUT_PERCENT = 10

ABBREVIATIONS = ("e.g.", "i.e.", "vs.", "cf.", "etc.")
SENTENCE_END = re.compile(r"[.!?][\"')\]*_`]*$")
LINE_BLOCK = re.compile(r"^\s*([-*+]\s|\d+[.)]\s|#{1,6}\s|\||>)")


@dataclass(frozen=True)
class Document:
    """One document: its file's name without suffix, passages of prose, passages of fenced code."""

    name: str
    prose: tuple[str, ...]
    code: tuple[str, ...]


def is_held_out(name: str) -> bool:
    """Whether the document belongs to the held-out tenth: SHA-256 of the file name, mod 100."""
    digest = hashlib.sha256(name.encode()).digest()
    return int.from_bytes(digest[:4], "big") % 100 < HELD_OUT_PERCENT


def read(path: Path, name: str) -> Document:
    """Read one Markdown file; front matter, comments and badge lines are left out."""
    text = path.read_text(encoding="utf-8", errors="replace")
    text = re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.S)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.S)
    fences = re.findall(r"^[ \t]*```[^\n]*\n(.*?)^[ \t]*```", text, flags=re.S | re.M)
    text = re.sub(r"^[ \t]*```[^\n]*\n.*?^[ \t]*```[^\n]*$", "\n", text, flags=re.S | re.M)
    prose = pack(sentence for block in blocks(text) for sentence in sentences(block))
    code = pack(line for fence in fences for line in map(squeeze, fence.splitlines()) if line)
    return Document(name, tuple(prose), tuple(code))


def blocks(text: str) -> list[str]:
    """Blocks of Markdown in order, each with its whitespace squeezed to single spaces."""
    found: list[list[str]] = [[]]
    for line in text.splitlines():
        if not line.strip() or re.match(r"\s*(\[!\[|<|\[[^\]]+\]:)", line):
            found.append([])
            continue
        if LINE_BLOCK.match(line):
            found.append([])
        found[-1].append(line)
    return [squeeze(" ".join(lines)) for lines in found if lines]


def squeeze(text: str) -> str:
    """Every run of whitespace as one space, none at the ends."""
    return " ".join(text.split())


def sentences(text: str) -> list[str]:
    """Split squeezed text after each word that ends in . ! or ? (closing quotes and marks kept).

    The rule is local on purpose: a reader needs only the word and that a space follows it.
    """
    found: list[list[str]] = [[]]
    for word in text.split(" "):
        found[-1].append(word)
        if ends_sentence(word):
            found.append([])
    return [" ".join(words) for words in found if words]


def ends_sentence(word: str) -> bool:
    """Whether a word closes its sentence. Abbreviations and list numbers such as "2." do not."""
    if word.lower().lstrip("(*_\"'") in ABBREVIATIONS or re.fullmatch(r"\d+\.", word):
        return False
    return SENTENCE_END.search(word) is not None


def pack(parts) -> list[str]:
    """Join parts in order into passages of PASSAGE_CHARS_MIN..PASSAGE_CHARS_MAX characters.

    A part longer than a passage is cut between words; a single word longer than a passage is dropped.
    """
    passages: list[str] = []
    current = ""
    for part in parts:
        for piece in [part] if len(part) <= PASSAGE_CHARS_MAX else part.split(" "):
            if len(piece) > PASSAGE_CHARS_MAX:
                continue
            if current and len(current) + 1 + len(piece) > PASSAGE_CHARS_MAX:
                passages.append(current)
                current = ""
            current = f"{current} {piece}" if current else piece
    return [passage for passage in [*passages, current] if len(passage) >= PASSAGE_CHARS_MIN]


def read_folder(folder: Path) -> list[Document]:
    """Documents directly in a folder (*.md), in order of file name, that yield 2 or more passages."""
    found = [read(path, path.stem) for path in sorted(folder.glob("*.md"))]
    return [document for document in found if len(document.prose) >= 2]


def read_packages(folder: Path) -> list[Document]:
    """Markdown of installed npm packages (readme and other top-level files), named by package.

    Licences and change logs are left out, and files with fewer than 6 passages.
    """
    found = []
    for manifest in sorted([*folder.glob("*/package.json"), *folder.glob("@*/*/package.json")]):
        package = manifest.parent.relative_to(folder).as_posix()
        for path in sorted(manifest.parent.glob("*.[mM][dD]")):
            if not re.search(r"change|history|licen[sc]e|notice|security", path.name, re.I):
                found.append(read(path, package))
    return [document for document in found if len(document.prose) >= 6]
