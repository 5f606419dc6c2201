"""Answers frames on standard input: `Z` and an archive, or `P` and a module. See `python.rs`."""

import ast
import io
import json
import struct
import sys
import zipfile


def archive(data):
    parts = []
    with zipfile.ZipFile(io.BytesIO(data)) as opened:
        for info in opened.infolist():
            contents = opened.read(info)
            if not info.is_dir():
                for part in (info.filename.encode("utf-8", "surrogateescape"), contents):
                    parts.append(struct.pack("<I", len(part)) + part)
    return b"".join(parts)


def module(data):
    imports, attributes, definitions = [], set(), []
    for node in ast.walk(ast.parse(data)):
        if isinstance(node, ast.Import):
            imports += [(alias.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            imports += [(alias.lineno, f"{node.module}.{alias.name}") for alias in node.names]
        elif isinstance(node, ast.Attribute):
            attributes.add(node.attr)
        elif isinstance(node, ast.MatchClass):
            attributes.update(node.kwd_attrs)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            definitions.append((node.lineno, node.name))
    return json.dumps({"imports": imports, "attributes": sorted(attributes), "definitions": definitions}).encode()


def answer(question):
    try:
        return b"+" + {b"Z": archive, b"P": module}[question[:1]](question[1:])
    except Exception as error:  # whatever it is, it is an answer
        return b"-" + f"{type(error).__name__}: {error}".encode("utf-8", "replace")


def main():
    while True:
        head = sys.stdin.buffer.read(4)
        if len(head) < 4:
            return
        reply = answer(sys.stdin.buffer.read(struct.unpack("<I", head)[0]))
        sys.stdout.buffer.write(struct.pack("<I", len(reply)) + reply)
        sys.stdout.buffer.flush()


main()
