//! What fingerprints ignore and what they notice.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test may fail"
)]

use prism_facts::{Facts, Fingerprints, Module, extract};

const MODEL: &str = r#"
import torch
from torch import nn

WIDTH = 64

class Block(nn.Module):
    """A block."""
    def __init__(self, width):
        super().__init__()
        self.first = nn.Linear(width, width)
        self.second = nn.Linear(width, width, bias=False)

    def forward(self, x):
        hidden = torch.relu(self.first(x))  # activate
        return self.mix(hidden, scale=0.5) + x

    def mix(self, hidden, scale):
        return self.second(hidden) * scale

def build_model(ctx):
    layers = [Block(WIDTH) for _ in range(2)]
    return nn.Sequential(nn.Embedding(ctx.vocab_size, WIDTH), *layers, nn.Linear(WIDTH, ctx.vocab_size))

def get_recipe(ctx):
    return {"learning_rate": 3e-4}
"#;

fn read(files: &[(&str, &str)]) -> Facts {
    let modules: Vec<Module> = files
        .iter()
        .map(|(path, text)| Module { path: (*path).to_owned(), source: text.as_bytes().to_vec() })
        .collect();
    extract(&modules, &["model.py".to_owned()])
}

fn prints(files: &[(&str, &str)]) -> Fingerprints {
    read(files).fingerprints.unwrap()
}

fn changed(from: &str, to: &str) -> Fingerprints {
    assert!(MODEL.contains(from), "{from}");
    prints(&[("model.py", &MODEL.replace(from, to))])
}

#[test]
fn names_comments_formatting_and_docstrings_do_not_matter() {
    let original = prints(&[("model.py", MODEL)]);
    let renamed = MODEL
        .replace("Block", "Unit")
        .replace("WIDTH", "SIZE")
        .replace("hidden", "h")
        .replace("self.first", "self.up")
        .replace("self.second", "self.down")
        .replace("mix", "blend")
        .replace("scale", "factor")
        .replace("layers", "units")
        .replace("# activate", "")
        .replace("\"\"\"A block.\"\"\"", "'other words'")
        .replace("def forward(self, x):", "def forward(self, x: torch.Tensor) -> torch.Tensor:")
        .replace("torch.relu", "F.relu")
        .replace("import torch\n", "import torch\nimport torch as F\n");
    assert_eq!(prints(&[("model.py", &renamed)]), original);
}

#[test]
fn order_and_files_do_not_matter() {
    let original = prints(&[("model.py", MODEL)]);
    let (head, functions) = MODEL.split_at(MODEL.find("def build_model").unwrap());
    let reordered = "from torch import nn\n".to_owned() + functions + head;
    assert_eq!(prints(&[("model.py", &reordered)]), original);
    let entry =
        "from torch import nn\nfrom parts.blocks import Block, WIDTH\n".to_owned() + functions;
    assert_eq!(prints(&[("model.py", &entry), ("parts/blocks.py", head)]), original);
    let mix = MODEL.find("    def mix").unwrap();
    let forward = MODEL.find("    def forward").unwrap();
    let end = MODEL.find("def build_model").unwrap();
    let (mix_text, forward_text) = (&MODEL[mix..end], &MODEL[forward..mix]);
    let methods = MODEL[..forward].to_owned() + mix_text + forward_text + &MODEL[end..];
    assert_eq!(prints(&[("model.py", &methods)]), original);
}

#[test]
fn a_local_may_be_called_otherwise_in_one_method_only() {
    let renamed = MODEL
        .replace("def forward(self, x)", "def forward(self, y)")
        .replace("self.first(x)", "self.first(y)")
        .replace("scale=0.5) + x", "scale=0.5) + y")
        .replace("def mix(self, hidden, scale)", "def mix(self, x, scale)")
        .replace("self.second(hidden)", "self.second(x)");
    assert_eq!(prints(&[("model.py", &renamed)]), prints(&[("model.py", MODEL)]));
}

#[test]
fn the_order_of_methods_does_not_matter_where_they_do_alike() {
    const HEAD: &str =
        "class A:\n    def __init__(self):\n        self.x = 1\n        self.y = 2\n";
    const LEFT: &str = "    def left(self):\n        return self.x\n";
    const RIGHT: &str = "    def right(self):\n        return self.y\n";
    let source = |parts: [&str; 3]| prints(&[("model.py", &parts.concat())]).source;
    assert_eq!(source([HEAD, LEFT, RIGHT]), source([HEAD, RIGHT, LEFT]));
    let other = RIGHT.replace("self.y", "self.x");
    assert_ne!(source([HEAD, LEFT, RIGHT]), source([HEAD, LEFT, &other]));
}

#[test]
fn what_methods_share_matters() {
    const CLASS: &str = "
class Block:
    narrow = 1
    wide = 2
    def up(self, width=narrow):
        return width + 1
    def down(self, size=narrow):
        return size - 1
    def count(self):
        global counter
        counter = 1
    def reset(self):
        global counter
        counter = 2
";
    let source = |text: &str| prints(&[("model.py", text)]).source;
    let original = source(CLASS);
    for (from, to) in [
        ("size=narrow", "size=wide"),
        (
            "def reset(self):\n        global counter\n        counter",
            "def reset(self):\n        global total\n        total",
        ),
    ] {
        assert!(CLASS.contains(from), "{from}");
        assert_ne!(source(&CLASS.replace(from, to)), original, "{from} -> {to}");
    }
    let renamed = CLASS.replace("narrow", "small").replace("counter", "total");
    assert_eq!(source(&renamed.replace("size", "width")), original);
}

#[test]
fn a_helper_that_is_there_twice_is_one() {
    let original = prints(&[("model.py", MODEL)]);
    let twice = MODEL.replace("WIDTH = 64", "WIDTH = SIZE = 64").replace(
        "return nn.Sequential(nn.Embedding(ctx.vocab_size, WIDTH)",
        "return nn.Sequential(nn.Embedding(ctx.vocab_size, SIZE)",
    );
    assert_ne!(twice, MODEL);
    assert_eq!(prints(&[("model.py", &twice)]), original);
    let apart = twice.replace("WIDTH = SIZE = 64", "WIDTH = 64\nSIZE = 64");
    assert_eq!(prints(&[("model.py", &apart)]), original);
    let other = twice.replace("WIDTH = SIZE = 64", "WIDTH = 64\nSIZE = 65");
    assert_ne!(prints(&[("model.py", &other)]).architecture, original.architecture);
}

/// Two texts of one definition that do different things.
const DIFFERENT: &[(&str, &str)] = &[
    ("def f(c):\n if c:\n  x()\n else:\n  y()\n", "def f(c):\n if c:\n  x()\n  y()\n"),
    (
        "def f(c):\n if c:\n  x()\n elif y:\n  z()\n",
        "def f(c):\n if c:\n  x()\n else:\n  y\n  z()\n",
    ),
    ("x = m[:1]\n", "x = m[1:]\n"),
    ("x = m[::1]\n", "x = m[:1:]\n"),
    ("for a in b:\n x()\nelse:\n y()\n", "for a in b:\n x()\n y()\n"),
    ("while b:\n x()\nelse:\n y()\n", "while b:\n x()\n y()\n"),
    (
        "def f():\n try:\n  x()\n except E:\n  pass\n else:\n  y()\n",
        "def f():\n try:\n  x()\n except E:\n  pass\n finally:\n  y()\n",
    ),
    ("def f():\n try:\n  x()\n except E:\n  y()\n", "def f():\n try:\n  x()\n except* E:\n  y()\n"),
    ("with m as b:\n x()\n", "with m, b:\n x()\n"),
    ("x = [a for a in b]\n", "x = {a for a in b}\n"),
    ("x = [a for a in b]\n", "x = (a for a in b)\n"),
    ("x = [a for a in a if a]\n", "x = {a: a for a in a}\n"),
    ("match x:\n case None:\n  y()\n", "match x:\n case True:\n  y()\n"),
    ("match x:\n case None:\n  y()\n", "match x:\n case _:\n  y()\n"),
    ("match x:\n case a if b:\n  y()\n", "match x:\n case a:\n  b\n  y()\n"),
    ("match x:\n case [1, 2]:\n  y()\n", "match x:\n case 1 | 2:\n  y()\n"),
    ("match x:\n case A(b=1):\n  y()\n", "match x:\n case A(1):\n  y()\n"),
    ("x = {m: m}\n", "x = {**m, **m}\n"),
    ("from torch import sum\nx = m.sum(m)\n", "from torch import sum\nx = m(sum, m)\n"),
    (
        "from torch import clamp\nx = clamp(m, min=max)\n",
        "from torch import clamp\nx = clamp(m, min, max)\n",
    ),
    ("@d\nclass A: x = 1\n", "class A(d): x = 1\n"),
    ("class A(metaclass=d): x = 1\n", "class A(d): x = 1\n"),
    ("def f(*a): return g(a)\n", "def f(**a): return g(a)\n"),
    ("def f(a, *, b): return g(a, b)\n", "def f(a, b): return g(a, b)\n"),
    ("async def f():\n async for a in b: x()\n", "async def f():\n for a in b: x()\n"),
    ("async def f():\n async with a: x()\n", "async def f():\n with a: x()\n"),
    ("async def f(): return [a async for a in b]\n", "async def f(): return [a for a in b]\n"),
    ("W, K = 3, 5\ndef f(): return W\n", "W, K = 3, 5\ndef f(): return K\n"),
    ("W, K = m()\ndef f(): return W\n", "W, K = m()\ndef f(): return K\n"),
    ("x = f'{a!r}'\n", "x = f'{a!s}'\n"),
    ("x = f'{a}b'\n", "x = f'{a:b}'\n"),
    ("x = f(*a)\n", "x = f(**a)\n"),
    (
        "def f(a, b): return a - b\nx = f(a=1, b=2)\n",
        "def f(a, b): return a - b\nx = f(b=1, a=2)\n",
    ),
    (
        "class A:\n def __init__(self, a, b): self.c = a - b\nx = A(a=1, b=2)\n",
        "class A:\n def __init__(self, a, b): self.c = a - b\nx = A(b=1, a=2)\n",
    ),
    ("x = a < b\n", "x = a > b\n"),
    ("from torch import *\nx = a if b else c\n", "from torch import *\nx = b if a else c\n"),
    ("def f():\n yield a\n", "def f():\n return a\n"),
    ("x = (a, b)\n", "x = [a, b]\n"),
    ("assert a, b\n", "assert a\nb.c()\n"),
    ("def f(): return g, 1\ndef g(): pass\n", "def f(): return g, 2\ndef g(): pass\n"),
];

#[test]
fn what_is_done_otherwise_has_another_fingerprint() {
    let source = |text: &str| prints(&[("model.py", text)]).source;
    let same: Vec<_> =
        DIFFERENT.iter().filter(|(one, other)| source(one) == source(other)).collect();
    assert!(same.is_empty(), "{same:#?}");
}

/// What is stored is compared with what comes later: a change of this digest is a change of all of them.
#[test]
fn fingerprints_stay_what_they_are() {
    let prints = prints(&[("model.py", MODEL)]);
    let expected = [
        "24ea8618f2da2eafe73f94701ded377f96963fd9d5e0e09264fc762682eebe52",
        "41f96ffd8d21ad129e60a6870022bcfad101e07c65f6f989221c598c11edcacd",
        "d58a2e764e20f870a06dd1ed05873d14f9344f4dac198d1332d60a1bc01111c8",
    ];
    assert_eq!([&*prints.source, &*prints.architecture, &*prints.training], expected);
}

#[test]
fn texts_cannot_be_cut_otherwise() {
    let source = |text: &str| prints(&[("model.py", text)]).source;
    assert_ne!(source("x = f('a', 'bc')\n"), source("x = f('ab', 'c')\n"));
    assert_ne!(source("x = 1.0\n"), source("x = 1\n"));
    assert_ne!(source("x = (1 + 2) * 3\n"), source("x = 1 + 2 * 3\n"));
}

#[test]
fn what_is_computed_matters() {
    let original = prints(&[("model.py", MODEL)]);
    for (from, to) in [
        ("torch.relu", "torch.tanh"),
        ("WIDTH = 64", "WIDTH = 65"),
        ("bias=False", "bias=True"),
        ("+ x", "- x"),
        ("range(2)", "range(3)"),
        ("self.first(x)", "self.second(x)"),
    ] {
        let other = changed(from, to);
        assert_ne!(other.architecture, original.architecture, "{from} -> {to}");
        assert_ne!(other.source, original.source, "{from} -> {to}");
        assert_eq!(other.training, original.training, "{from} -> {to}");
    }
}

#[test]
fn architecture_and_training_are_told_apart() {
    let original = prints(&[("model.py", MODEL)]);
    let recipe = changed("3e-4", "1e-3");
    assert_eq!(recipe.architecture, original.architecture);
    assert_ne!(recipe.training, original.training);
    let loss = MODEL.to_owned()
        + "\ndef compute_loss(model, batch, ctx):\n    return model(batch.tokens).sum()\n";
    let loss = prints(&[("model.py", &loss)]);
    assert_eq!(loss.architecture, original.architecture);
    assert_ne!(loss.training, original.training);
}

#[test]
fn an_architecture_cannot_hide_in_an_inference_hook() {
    let original = read(&[("model.py", MODEL)]);
    let before = original.fingerprints.unwrap();
    for hook in ["inference_logits", "infer"] {
        let text = MODEL.to_owned()
            + "\ndef other(tokens, width):\n    return torch.softmax(tokens * width, -1).cumsum(0)\n"
            + &["\ndef ", hook, "(model, batch, ctx):\n    return other(model(batch.tokens), 3)\n"]
                .concat();
        let moved = read(&[("model.py", &text)]);
        let after = moved.fingerprints.unwrap();
        assert_ne!(after.architecture, before.architecture, "{hook}");
        assert_eq!(after.training, before.training, "{hook}");
        assert_ne!(moved.architecture_sketch, original.architecture_sketch, "{hook}");
    }
}

#[test]
fn renaming_and_dead_functions_do_not_make_an_architecture() {
    // D22: the copy that the predecessor took for new.
    let original = read(&[("model.py", MODEL)]);
    let mut dead = String::new();
    for index in 0..40 {
        dead += &[
            "\ndef unused",
            &index.to_string(),
            "(a):\n    return a + ",
            &index.to_string(),
            "\n",
        ]
        .concat();
    }
    let copy = read(&[("model.py", &(MODEL.replace("Block", "Fresh") + &dead))]);
    let architecture = |facts: &Facts| facts.fingerprints.clone().unwrap().architecture;
    assert_eq!(architecture(&copy), architecture(&original));
    assert_eq!(copy.architecture_sketch, original.architecture_sketch);
    assert_ne!(copy.fingerprints.unwrap().source, original.fingerprints.unwrap().source);
}

#[test]
fn sketches_forgive_small_changes_and_tell_strangers() {
    let original = read(&[("model.py", MODEL)]);
    let constants = read(&[("model.py", &MODEL.replace("64", "96").replace("0.5", "0.25"))]);
    assert_eq!(constants.architecture_sketch, original.architecture_sketch);
    let stranger = "import torch\nclass R(torch.nn.Module):\n    def __init__(self, n):\n        super().__init__()\n\
                    \n        self.cell = torch.nn.GRU(n, n, batch_first=True)\n    def forward(self, t):\n        \
                    s, _ = self.cell(t)\n        return s[:, -1].softmax(-1)\ndef build_model(c):\n    return R(c.d)\n";
    let stranger = read(&[("model.py", stranger)]);
    let equal = original
        .architecture_sketch
        .iter()
        .zip(&stranger.architecture_sketch)
        .filter(|(left, right)| left == right)
        .count();
    assert!(equal < 40, "{equal} of 128");
}
