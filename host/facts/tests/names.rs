//! What the reader sees: names followed through aliases and files, places, what runs at import.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test may fail"
)]

use prism_facts::{Facts, Module, ObservationKind as Kind, extract};

fn read(files: &[(&str, &str)]) -> Facts {
    let modules: Vec<Module> = files
        .iter()
        .map(|(path, text)| Module { path: (*path).to_owned(), source: text.as_bytes().to_vec() })
        .collect();
    extract(&modules, &[files[0].0.to_owned()])
}

/// Names of one kind, in order.
fn names(facts: &Facts, kind: Kind) -> Vec<&str> {
    let seen = facts.observations.iter().filter(|seen| seen.kind == kind && !seen.local);
    seen.map(|seen| seen.name.as_str()).collect()
}

#[test]
fn calls_are_followed_to_what_they_call() {
    for (text, expected) in [
        ("import torch.nn.functional as F\nF.softmax(1)\n", "torch.nn.functional.softmax"),
        ("from torch import nn as n\nn.Linear(1)\n", "torch.nn.Linear"),
        ("import torch\nt = torch\nu = t.nn\nu.Linear(1)\n", "torch.nn.Linear"),
        (
            "def f():\n    import torch as t\n    def g():\n        return t.os.getpid()\n",
            "torch.os.getpid",
        ),
        ("from torch.hub import *\nurlopen()\n", "torch.hub.urlopen"),
        ("class A:\n    from os import system as s\n    s()\n", "os.system"),
        ("def f():\n    global t\n    import torch as t\n    t.zeros(1)\n", "torch.zeros"),
        ("import torch\nif (t := torch.hub):\n    t.load()\n", "torch.hub.load"),
        ("x = [eval(y) for y in ()]\n", "eval"),
        ("f'{open(1)}'\n", "open"),
        ("def f(x=exec('')):\n    pass\n", "exec"),
    ] {
        let facts = read(&[("model.py", text)]);
        assert_eq!(names(&facts, Kind::Call), [expected], "{text}");
    }
}

#[test]
fn own_names_are_not_builtins() {
    for text in [
        "def f(input):\n    return input(1)\n",
        "def f():\n    open = 1\n    return lambda: open(1)\n",
        "def eval(x):\n    return x\ndef f():\n    return eval(1)\n",
        "def f(xs):\n    return [compile(compile) for compile in xs]\n",
        "def f(x):\n    match x:\n        case {'a': vars}:\n            return vars()\n",
    ] {
        assert_eq!(names(&read(&[("model.py", text)]), Kind::Call), [""; 0], "{text}");
    }
}

#[test]
fn imports_of_the_project_lead_to_where_things_come_from() {
    let facts = read(&[
        (
            "src/model.py",
            "import layers\nfrom deep.inner import tool\nfrom layers import *\nlayers.t.os.x()\ntool.y()\nz.w()\n",
        ),
        ("src/layers.py", "import torch as t\nimport os as z\n"),
        ("src/deep/inner.py", "from . import outer\ntool = outer.m\n"),
        ("src/deep/outer.py", "import math as m\n"),
    ]);
    let calls = facts
        .observations
        .iter()
        .filter(|seen| seen.kind == Kind::Call && seen.path == "src/model.py");
    let calls: Vec<&str> = calls.map(|seen| seen.name.as_str()).collect();
    assert_eq!(calls, ["torch.os.x", "math.y", "os.w"]);
    let imports = facts.observations.iter().filter(|seen| seen.kind == Kind::ImportModule);
    let local: Vec<(&str, bool)> = imports.map(|seen| (seen.name.as_str(), seen.local)).collect();
    assert_eq!(local, [("math", false), ("torch", false), ("os", false), ("layers", true)]);
}

#[test]
fn a_file_cannot_pass_for_an_installed_module() {
    let facts = read(&[
        ("model.py", "import os\nimport torch\n"),
        ("os.py", "\n"),
        ("torch/__init__.py", "\n"),
    ]);
    assert_eq!(names(&facts, Kind::ImportModule), ["os", "torch"]);
}

#[test]
fn circles_of_imports_end() {
    let facts = read(&[
        ("a.py", "from b import x\nfrom b import *\nx.y()\ny = y\ny()\n"),
        ("b.py", "from a import x\nfrom a import *\n"),
    ]);
    assert!(facts.fingerprints.is_some());
}

/// Names that stand for each other in a circle stand for what any of them stands for, whichever is asked first.
#[test]
fn circles_hide_nothing() {
    let chain: Vec<String> = (1..90).map(|n| format!("    a{n} = a{}\n", n - 1)).collect();
    let chain = chain.concat();
    let chain =
        format!("import torch\ndef f():\n    print(a89)\n    a0 = torch\n{chain}    a3.load(1)\n");
    for text in [
        "import torch\ndef f():\n    a = torch\n    b = a\n    if 0: a = b\n    b.load(1)\n",
        "import torch\ndef f():\n    b = a\n    a = b\n    a = torch\n    b.load(1)\n",
        "import torch\ndef f(x):\n    x = y\n    y = x\n    y = torch\n    x = y\n    x.load(1)\n",
        "import torch\nclass A:\n    b = a\n    a = b\n    a = torch\n    b.load(1)\n",
        "import torch\na = torch\nb = a\nif 0: a = b\nb.load(1)\n",
        "import torch\ndef f():\n    global a, b\n    a = torch\n    b = a\n    a = b\n    b.load(1)\n",
        chain.as_str(),
    ] {
        let facts = read(&[("m.py", text)]);
        assert!(
            names(&facts, Kind::Call).contains(&"torch.load"),
            "{text}\n{:?}",
            names(&facts, Kind::Call)
        );
    }
    for text in [
        "import torch\nb = a\na = b\na = torch\nf(b)\n",
        "import torch\na = b\nb = a\na = torch\nf(b)\n",
        "import torch\ndef g():\n    b = a\n    a = b\n    a = torch\n    f(b)\n",
    ] {
        let facts = read(&[("m.py", text)]);
        assert!(names(&facts, Kind::Reference).contains(&"torch"), "{text}");
    }
    for (one, two) in [
        ("from b import x\nf(x)\n", "from a import x\nimport torch as x\n"),
        ("from b import x\nf(x)\n", "x.y\nimport torch as x\nfrom a import x\nf(x)\n"),
        ("from b import *\nf(x)\n", "from a import *\nfrom a import x\nimport torch as x\n"),
    ] {
        for order in [[("a.py", one), ("b.py", two)], [("b.py", two), ("a.py", one)]] {
            let facts = read(&order);
            let seen = facts.observations.iter().filter(|seen| seen.path == "a.py");
            let seen: Vec<_> = seen.map(|seen| (seen.kind, seen.name.as_str())).collect();
            assert!(seen.contains(&(Kind::Reference, "torch")), "{order:?} {seen:?}");
        }
    }
}

/// What is an attribute of itself is nothing foreign, nor is what a file defines that is called like a module of
/// Python's.
#[test]
fn circles_make_nothing_foreign() {
    for files in [
        &[(
            "m.py",
            "cfg = load()\ncfg = cfg.model\ncfg.y()\nf(cfg)\ndef load(): pass\ndef f(x): pass\n",
        )][..],
        &[("p/__init__.py", "from .q import q\nq(1)\n")],
        &[("subprocess.py", "class Process: pass\ndef f(): return Process(1)\n")],
        &[("_own.py", "x = 1\ny = x\nx = y\ndef f(): return f(x, y)\n")],
        &[
            ("a.py", "from b import x\nx = x.y\nx.z()\n"),
            ("b.py", "from a import x\nx = x.w\nx.z()\n"),
        ],
    ] {
        let facts = read(files);
        for kind in [Kind::Call, Kind::Reference, Kind::ImportName] {
            assert_eq!(names(&facts, kind), [""; 0], "{files:?}");
        }
    }
}

/// A name too long to be followed is nobody's own.
#[test]
fn long_names_and_long_ways_hide_nothing() {
    let long = "x".repeat(600);
    let foreign = |facts: &Facts| {
        let calls = names(facts, Kind::Call).into_iter().map(str::to_owned).collect::<Vec<_>>();
        assert!(!calls.is_empty(), "{:?}", facts.observations);
    };
    foreign(&read(&[
        (
            "model.py",
            &format!("from m1 import {long} as t\ndef build_model(): return t.load('x')\n"),
        ),
        ("m1.py", &format!("import torch as {long}\n")),
    ]));
    foreign(&read(&[
        ("model.py", &format!("import m1\ndef build_model(): return m1.{long}.load('x')\n")),
        ("m1.py", &format!("import torch as {long}\n")),
    ]));
    foreign(&read(&[(
        "model.py",
        &format!("import torch as {long}\nt = {long}\ndef f(): return t.load('x')\n"),
    )]));
    // From module to module and back, more often than is followed.
    let way = "a.b.".repeat(200);
    foreign(&read(&[
        ("model.py", &format!("import a\ndef build_model(): return {way}torch.load('x')\n")),
        ("a.py", "import b\nimport torch\n"),
        ("b.py", "import a\nimport torch\n"),
    ]));
    let mut stars: Vec<(String, String)> =
        (0..40).map(|n| (format!("m{n}.py"), format!("from m{} import *\n", n + 1))).collect();
    stars.push(("m40.py".to_owned(), "import torch\n".to_owned()));
    stars.insert(0, ("model.py".to_owned(), "from m0 import *\ntorch.load('x')\n".to_owned()));
    let stars: Vec<(&str, &str)> = stars.iter().map(|(path, text)| (&**path, &**text)).collect();
    foreign(&read(&stars));
}

#[test]
fn what_runs_at_import_is_marked() {
    let text = "import math\nA = math.sin(1)\ndef f(x=math.cos(1)):\n    math.tan(1)\n\
                class B:\n    y = math.exp(1)\n    def g(self):\n        math.log(1)\n\
                if __name__ == '__main__':\n    math.sqrt(1)\nC = lambda: math.floor(1)\n";
    let facts = read(&[("model.py", text)]);
    let at_import =
        facts.observations.iter().filter(|seen| seen.kind == Kind::Call && seen.at_import);
    let at_import: Vec<&str> = at_import.map(|seen| seen.name.as_str()).collect();
    assert_eq!(at_import, ["math.sin", "math.cos", "math.exp"]);
}

#[test]
fn entry_functions_are_found_where_they_are_defined() {
    let facts = read(&[
        (
            "model.py",
            "from nets import make as build_model\ndef get_recipe(ctx, a, *rest):\n    pass\ninfer = lambda m, b, c: m\n",
        ),
        ("nets.py", "\n\ndef make(ctx, /, width=3):\n    pass\n"),
    ]);
    let found: Vec<_> = facts
        .entry_functions
        .iter()
        .map(|it| (it.name.as_str(), it.path.as_str(), it.line, it.parameters))
        .collect();
    let expected = [
        ("build_model", "nets.py", 3, 2),
        ("infer", "model.py", 4, 3),
        ("get_recipe", "model.py", 2, 255),
    ];
    assert_eq!(found, expected);
}

#[test]
fn of_two_entry_modules_each_offers_its_own_functions() {
    // The evaluation's harness looks in the same places; its tests have this project too.
    let all = |file: &str| {
        let function = |name| ["def ", name, "(a, *", file, "):\n    pass\n"].concat();
        let names = ["build_model", "get_recipe", "configure_optimizer", "inference_logits"];
        names.map(function).concat()
    };
    let files = [
        ("model.py", all("model") + "def train_step(a, b):\n    pass\n"),
        ("train.py", all("train") + "def infer(a):\n    pass\n"),
    ];
    let module = |(path, text): &(&str, String)| Module {
        path: (*path).to_owned(),
        source: text.as_bytes().to_vec(),
    };
    let modules: Vec<Module> = files.iter().map(module).collect();
    let facts = extract(&modules, &["model.py".to_owned(), "train.py".to_owned()]);
    let found: Vec<_> =
        facts.entry_functions.iter().map(|it| (it.name.as_str(), it.path.as_str())).collect();
    let expected = [
        ("build_model", "model.py"),
        ("inference_logits", "model.py"),
        ("get_recipe", "train.py"),
        ("configure_optimizer", "train.py"),
        ("train_step", "model.py"),
    ];
    assert_eq!(found, expected);
}

#[test]
fn places_are_lines_and_characters() {
    let facts = read(&[("model.py", "x = 'é'; import os\r\nimport sys\rimport re\n")]);
    let imports = facts.observations.iter().filter(|seen| seen.kind == Kind::ImportModule);
    let places: Vec<_> = imports.map(|seen| (seen.name.as_str(), seen.line, seen.column)).collect();
    assert_eq!(places, [("os", 1, 17), ("sys", 2, 8), ("re", 3, 8)]);
}

#[test]
fn unreadable_modules_are_observations() {
    let deep = "x = ".to_owned() + &"(".repeat(100_000);
    for (text, way) in
        [("def f(:\n", "syntax"), ("# coding: cp1252\n", "encoding"), (deep.as_str(), "nesting")]
    {
        let facts = read(&[("model.py", text)]);
        assert_eq!(names(&facts, Kind::Unreadable), [way]);
        assert!(facts.fingerprints.is_none() && facts.source_sketch.is_empty());
    }
}

#[test]
fn observations_are_bounded() {
    let facts = read(&[("model.py", &"print(1)\n".repeat(60_000))]);
    assert_eq!(facts.observations.len(), prism_facts::OBSERVATIONS_MAX + 1);
    assert_eq!(names(&facts, Kind::Unreadable), ["limit"]);
}
