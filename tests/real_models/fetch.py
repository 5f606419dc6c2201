"""Fetches the published packages that `packages.txt` pins and lays the files that `projects.json` names out
as projects: `python3 fetch.py FOLDER`. Only wheels, which are unpacked and never run."""

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux2014_x86_64", "manylinux1_x86_64", "any")


def download(wheels):
    platforms = [part for platform in PLATFORMS for part in ("--platform", platform)]
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary", ":all:",
         "--python-version", "3.11", *platforms, "--require-hashes", "--dest", str(wheels), "--requirement", str(HERE / "packages.txt")],
        check=True,
    )


def lay_out(wheel, projects, target):
    package = wheel.name.split("-")[0]
    with zipfile.ZipFile(wheel) as opened:
        for project in projects:
            dotted = project["entry"].removesuffix(".py").replace("/", ".")
            folder = target / f"{package}--{dotted}"
            for member in [project["entry"], *project.get("with", [])]:
                (folder / member).parent.mkdir(parents=True, exist_ok=True)
                (folder / member).write_bytes(opened.read(member))
            package_of, _, module = dotted.rpartition(".")
            source = f"from {package_of} import {module}" if package_of else f"import {module}"
            contract = f"\n\n\ndef build_model(ctx):\n    return None\n\n\ndef get_recipe(ctx):\n    return {{}}\n"
            (folder / "model.py").write_text(source + contract)


def main(folder):
    wheels, target = folder / "wheels", folder / "projects"
    wheels.mkdir(parents=True, exist_ok=True)
    download(wheels)
    shutil.rmtree(target, ignore_errors=True)
    named = json.loads((HERE / "projects.json").read_text())
    for wheel in sorted(wheels.glob("*.whl")):
        lay_out(wheel, named.get(wheel.name.split("-")[0], []), target)
    (folder / "made-from").write_text((HERE / "packages.txt").read_text() + (HERE / "projects.json").read_text())


main(Path(sys.argv[1]))
