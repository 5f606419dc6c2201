//! What the Python reader costs grows with the size of what it reads, whatever that is: fuel for twice the
//! text is at most 2.3 times the fuel. Fuel, and not time, because it is the same on every machine.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a failed expectation is a failed test, and it tells what it measured"
)]

use wasmtime::component::{Component, Linker, Val};
use wasmtime::{Config, Engine, Store};

/// The component as it is embedded.
const READER: &[u8] = prism_policy::python_reader();
/// How much more fuel twice the text may take.
const GROWTH_MAX: f64 = 2.3;
/// Bytes of the smaller text.
const BYTES: usize = 60_000;

/// The reader, compiled with fuel.
struct Reader {
    engine: Engine,
    component: Component,
}

impl Reader {
    fn new() -> Self {
        let mut config = Config::new();
        config.consume_fuel(true).max_wasm_stack(1 << 20);
        let engine = Engine::new(&config).expect("an engine");
        let component = Component::new(&engine, READER).expect("compiles");
        Self { engine, component }
    }

    /// Fuel for reading these modules, the first being the entry; none when it traps.
    fn fuel(&self, modules: &[(String, String)]) -> Option<u64> {
        let mut store = Store::new(&self.engine, ());
        store.set_fuel(u64::MAX).expect("counted");
        let linker = Linker::new(&self.engine);
        let instance = linker.instantiate(&mut store, &self.component).expect("imports nothing");
        let name = "prism:host/python-facts@1.0.0";
        let interface = instance.get_export_index(&mut store, None, name).expect("exported");
        let index = instance.get_export_index(&mut store, Some(&interface), "extract");
        let extract = instance.get_func(&mut store, index.expect("exported")).expect("a function");
        let module = |(path, source): &(String, String)| {
            let source = source.bytes().map(Val::U8).collect();
            Val::Record(vec![
                ("path".to_owned(), Val::String(path.clone())),
                ("source".to_owned(), Val::List(source)),
            ])
        };
        let arguments = [
            Val::List(modules.iter().map(module).collect()),
            Val::List(vec![Val::String(modules.first().expect("one").0.clone())]),
        ];
        let before = store.get_fuel().expect("counted");
        extract.call(&mut store, &arguments, &mut [Val::Bool(false)]).ok()?;
        Some(before - store.get_fuel().expect("counted"))
    }
}

/// `head`, as many of `piece` as fit, `tail`. A `#` in the piece stands for the number of the piece.
fn repeated(bytes: usize, head: &str, piece: &str, tail: &str) -> String {
    let mut text = head.to_owned();
    let mut number = 0;
    while text.len() + piece.len() < bytes {
        text.push_str(&piece.replace('#', &number.to_string()));
        number += 1;
    }
    text + tail
}

/// Head, piece and tail of texts that grow.
#[rustfmt::skip]
const TEXTS: &[(&str, &str, &str, &str)] = &[
    ("open brackets", "", "(", ""),
    ("brackets on every line", "", "[[[[[[[[1]]]]]]]]\n", ""),
    ("closing brackets", "", ")\n", ""),
    ("a chain of attributes", "x = a", ".b", "\n"),
    ("chains on every line", "import torch\n", "x = torch.a.b.c.d.e.f.g.h.i.j\n", ""),
    ("a chain of calls", "x = a", "()", "\n"),
    ("a sum", "x = 1", "+1", "\n"),
    ("a comparison", "x = 1", "<1", "\n"),
    ("nots", "x = ", "not ", "1\n"),
    ("lambdas", "x = ", "lambda: ", "1\n"),
    ("an f-string of many fields", "x = f'", "{a.b}", "'\n"),
    ("f-strings on every line", "", "x = f'{a!r:{b}}{c}'\n", ""),
    ("a string of many fields", "x = '", "{a.b}", "'.format(x)\n"),
    ("open braces in a string", "x = '", "{", "'\n"),
    ("strings side by side", "x = (", "'ab' ", ")\n"),
    ("special names in strings", "x = [", "'__a#__',", "]\n"),
    ("a long string", "x = '", "a", "'\n"),
    ("a long name", "", "a", " = 1\n"),
    ("a long number", "x = ", "9", "\n"),
    ("numbers", "x = [", "1, ", "]\n"),
    ("decorators", "", "@d.e#\n", "def f():\n    pass\n"),
    ("parameters", "def f(", "a#, ", "):\n    pass\n"),
    ("annotated parameters", "def f(", "a#: 'b.c' = 1, ", "):\n    pass\n"),
    ("an elif chain", "if x:\n    pass\n", "elif x.y#:\n    pass\n", ""),
    ("if on every line", "", "if x:\n    y#.z = 1\n", ""),
    ("except clauses", "try:\n    pass\n", "except E# as e:\n    pass\n", ""),
    ("cases", "match x:\n", "    case A(b=c#) | [d, *e#]:\n        pass\n", ""),
    ("foreign star imports", "", "from torch.a# import *\nb#.c()\n", ""),
    ("one foreign star import", "from torch import *\n", "b#.c()\n", ""),
    ("imports of one name", "", "import a.b# as c\n", "c.d()\n"),
    ("imports", "", "import a#.b\n", ""),
    ("aliases of aliases", "a0 = torch\n", "a = a0\nb = a\na0 = b\n", "a.x()\n"),
    ("a chain of aliases", "import torch as a\n", "a# = a\na = a#\n", "a.x()\n"),
    ("one name, many values", "", "x = torch.a#\nx.b()\n", ""),
    ("globals", "", "def f#():\n    global a#, b\n    a# = b\n", ""),
    ("functions", "", "def f#(x):\n    return g(x)\n", ""),
    ("functions that call the last", "def f(): pass\n", "def f#(x):\n    return f(x)\nf = f#\n", ""),
    ("functions that call all", "", "def f#(x):\n    return build_model(x)\n", "def build_model(c):\n    return f0(f1(f2(c)))\n"),
    ("methods", "class A:\n", "    def f#(self):\n        return self.f0(self.a#.b)\n", ""),
    ("classes", "", "class A#(A0, B.c):\n    x = 1\n", ""),
    ("bases", "class A(", "B#.c, ", "): pass\n"),
    ("comprehensions", "", "x = [a# for a# in b if a#.c]\n", ""),
    ("generators in one", "x = [a", " for b# in c", "]\n"),
    ("with items", "with ", "a# as b#, ", "c:\n    pass\n"),
    ("targets", "", "a# = ", "1\n"),
    ("tuples of targets", "", "a#, ", "= 1\n"),
    ("accessors", "", "getattr(a, 'b#').c\n", ""),
    ("text annotations", "", "x#: 'List[a.b]' = 1\n", ""),
    ("comments", "", "# coding\n", ""),
    ("empty lines", "", "\n", ""),
    ("carriage returns", "", "x = a.b#\r", ""),
    ("form feeds", "", "\u{c}", "\n"),
    ("continuations", "x = 1", " \\\n", " + 1\n"),
    ("semicolons", "", "a.b#; ", "\n"),
    ("wide letters", "", "ａ# = ａ.ｂ\n", ""),
    ("long lines with accents", "x = '", "é", "' + a.b.c\n"),
    ("wide text before many names", "x = [", "'é', a#.b, ", "]\n"),
    ("errors", "", "def\n", ""),
    ("unknown letters", "", "\u{3b1}\u{301}? ", "\n"),
    ("dicts", "x = {", "'a#': b.c, ", "}\n"),
    ("subscripts", "x = a", "[0]", "\n"),
    ("stars", "f(", "*a#, ", ")\n"),
    ("walrus", "", "(a# := torch.b).c()\n", ""),
    ("asserts", "", "assert a.b#, c\n", ""),
    ("literals of bulk", "x = ", "'a' * 9 * ", "9\n"),
];

/// Texts in which two things grow, each of which may be paid for once for each of the other: head, piece, middle,
/// piece and tail.
#[rustfmt::skip]
const PAIRS: &[(&str, [&str; 5])] = &[
    ("many targets of a long value", ["", "a# = ", "[", "1, ", "]\n"]),
    ("many tuples of targets", ["", "a#, ", " = [", "1, ", "]\n"]),
    ("a long import and its uses", ["import ", "a", " as t\n", "t.x()\n", ""]),
    ("a long import from and its names", ["from ", "a", " import ", "b#, ", "c\n"]),
    ("a long chain and its uses", ["import a\nt = a", ".b", "\n", "t.x()\n", ""]),
    ("long names in a chain", ["import ", "a.", "a as t\nu = t.b.c.d\n", "u.x()\n", ""]),
    ("a long name of one's own", ["def ", "a", "(): pass\n", "def f#(): pass\n", ""]),
    ("a long class and its methods", ["class ", "a", ":\n    x = 1\n", "    def f#(self): pass\n", ""]),
    ("a long class and its private names", ["class ", "a", ":\n    x = 1\n", "    __b# = 1\n", ""]),
    ("a long name as a base", ["import ", "a", " as t\nclass A(", "t, ", "): pass\n"]),
    ("a long name as a keyword", ["import ", "a", " as t\nf(", "b#=t, ", ")\n"]),
    ("one name defined and used", ["", "def f(): pass\n", "def g():\n", "    f()\n", ""]),
    ("one name defined and used apart", ["", "class A: x = 1\n", "", "def g#(): return A.x\n", ""]),
    ("star imports and unknown names", ["", "from a# import *\n", "", "b#.c()\n", ""]),
    ("one name with values and uses", ["", "x = torch.a#\n", "", "x.b()\n", ""]),
    ("globals and their uses", ["def f():\n    global a", ", a#", "\n", "    a# = b\n", ""]),
    ("names of a class and methods", ["class A:\n", "    a# = 1\n", "", "    def f#(self, b=a#): return b\n", ""]),
    ("members and methods", ["class A:\n    def f(self):\n        pass\n", "        self.a# = 1\n", "", "    def f#(self): return self.a#\n", ""]),
    ("locals and functions in it", ["def f():\n", "    a# = 1\n", "", "    def g#(): return a#\n", ""]),
    ("locals and lambdas in it", ["def f():\n", "    a# = 1\n", "", "    b(lambda c#: a#)\n", ""]),
    ("a long text as a default", ["def f(a='", "b", "'", ", c#=1", "): pass\n"]),
    ("decorators and methods", ["class A:\n", "    @d.e#\n", "    def f(self): pass\n", "    def g#(self): pass\n", ""]),
    ("accessors of a long name", ["import ", "a", " as t\n", "getattr(t, 'b')\n", ""]),
    ("parameters and keywords", ["def f(", "a#, ", "): pass\nf(", "a#=1, ", ")\n"]),
    ("names in a circle", ["def f():\n    a = torch\n", "    a# = a\n    a = a#\n", "", "    a#.b()\n", ""]),
    ("names in a circle with attributes", ["def f():\n    a = torch\n", "    a# = a.b\n    a = a#.c\n", "", "    a#.b()\n", ""]),
    ("a module's names in a circle", ["a = torch\n", "a# = a\na = a#\n", "", "a#.b()\n", ""]),
    ("methods that do alike", ["class A:\n", "    def f#(self): return self.a#\n", "    x = 1\n", "    def g#(self): return self.f#\n", ""]),
    ("annotations of a long name", ["import ", "a", " as t\n", "x: 't.b'\n", ""]),
];

fn pair(bytes: usize, [head, one, middle, two, tail]: &[&str; 5]) -> String {
    repeated(bytes / 2, head, one, middle) + &repeated(bytes / 2, "", two, tail)
}

/// Projects of more and more modules, by the number of modules.
fn projects(count: usize) -> Vec<(&'static str, Vec<(String, String)>)> {
    let modules = |source: &dyn Fn(usize) -> String| {
        (0..count).map(|n| (format!("m{n}.py"), source(n))).collect::<Vec<_>>()
    };
    vec![
        ("a chain of star imports", modules(&|n| format!("from m{} import *\nzz.a()\n", n + 1))),
        (
            "a ring of star imports",
            modules(&|n| format!("from m{} import *\nzz{n}.a()\n", (n + 1) % count)),
        ),
        ("a chain of re-exports", modules(&|n| format!("from m{} import a\na.b()\n", n + 1))),
        (
            "calls across modules",
            modules(&|n| {
                format!(
                    "import m{next}\ndef build_model(c):\n    return m{next}.build_model(c)\n",
                    next = n + 1
                )
            }),
        ),
        (
            "modules alike",
            modules(&|_| {
                "import torch\nclass A(torch.nn.Module):\n    def forward(self, x):\n        return x\n".to_owned()
            }),
        ),
    ]
}

#[test]
fn fuel_grows_with_the_text() {
    let reader = Reader::new();
    let mut steep = Vec::new();
    for (name, head, piece, tail) in TEXTS {
        let text = |bytes| vec![("m.py".to_owned(), repeated(bytes, head, piece, tail))];
        check(&reader, name, &text(BYTES), &text(2 * BYTES), &mut steep);
    }
    for (name, parts) in PAIRS {
        let text = |bytes| vec![("m.py".to_owned(), pair(bytes, parts))];
        check(&reader, name, &text(BYTES), &text(2 * BYTES), &mut steep);
    }
    for ((name, few), (_, many)) in projects(120).into_iter().zip(projects(240)) {
        check(&reader, name, &few, &many, &mut steep);
    }
    assert!(steep.is_empty(), "{steep:#?}");
}

fn check(
    reader: &Reader,
    name: &str,
    small: &[(String, String)],
    large: &[(String, String)],
    steep: &mut Vec<String>,
) {
    let (Some(one), Some(two)) = (reader.fuel(small), reader.fuel(large)) else {
        return steep.push(format!("{name}: a trap"));
    };
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let growth = two as f64 / one as f64;
    println!("{name:32} {one:>12} {two:>12} {growth:.2}");
    if growth > GROWTH_MAX {
        steep.push(format!("{name}: {one} and {two}, {growth:.2} times"));
    }
}
