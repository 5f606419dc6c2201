//! What a dotted name is: allowed, or refused for a reason. Default is to refuse.

use crate::reflection::rule_of_attribute;
use crate::settings::Settings;

/// What the policy says about a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opinion {
    /// A module on the list.
    Module,
    /// Something in a module on the list, or an allowed builtin.
    Allowed,
    /// Its top-level module is not on the list at all.
    UnknownModule,
    /// Refused, with the rule and what to do instead.
    Refused(Reason),
}

/// A rule that refuses names, and how to do without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reason {
    /// Identifier of the rule.
    pub(crate) rule: &'static str,
    /// What to do instead.
    pub(crate) remedy: &'static str,
}

const fn reason(rule: &'static str, remedy: &'static str) -> Reason {
    Reason { rule, remedy }
}

const NET: Reason = reason("PY-TORCH-NET", "remove it: an evaluation has no network");
const NATIVE: Reason = reason("PY-TORCH-NATIVE", "use the public functions of PyTorch");
const IO: Reason = reason("PY-TORCH-IO", "remove it: an evaluation reads and writes no files");
const EXEC: Reason = reason("PY-TORCH-EXEC", "write the computation as ordinary PyTorch code");
const PROCESS: Reason =
    reason("PY-TORCH-PROC", "remove it: the evaluator decides about processes and threads");
const CHEAT: Reason = reason("PY-CHEAT", "compute on plain tensors and leave PyTorch as it is");
const REEXPORT: Reason =
    reason("PY-TORCH-REEXPORT", "import nothing through PyTorch but PyTorch itself");
const STDLIB_REEXPORT: Reason = reason("PY-REEXPORT", "use only what the module documents");
const UNLISTED: Reason = reason(
    "PY-NAME",
    "use a name that is on the list of the review policy, or ask its operator to add this one",
);
const DYNAMIC: Reason = reason("PY-DYN", "write the code out: text cannot be run as code");
const FILE: Reason = reason("PY-IO", "remove it: a project reads and writes no files");
const REFLECTION: Reason = reason("PY-REFLECT", "name attributes and variables in the code itself");
const FORMAT: Reason = reason("PY-FORMAT", "use an f-string or `.format` on a literal");
const INTERACTIVE: Reason = reason("PY-BUILTIN", "remove it: nobody is there to answer");
const AMBIGUOUS: Reason = reason("PY-REFLECT", "give each thing a name of its own");
const OWN_MODULE: Reason = reason("PY-REFLECT", "name what you need from the module");
const DUNDER: Reason =
    reason("PY-DUNDER", "use the ordinary operation instead of the special attribute");

/// Parts of PyTorch that are refused for a reason better than not being listed. The longest prefix counts.
const REFUSED_TORCH: &[(&str, Reason)] = &[
    ("torch._C", NATIVE),
    ("torch._dynamo", EXEC),
    ("torch._inductor", EXEC),
    ("torch.classes", NATIVE),
    ("torch.compile", EXEC),
    ("torch.cpp", NATIVE),
    ("torch.cuda.jiterator", EXEC),
    ("torch.distributed", NET),
    ("torch.export", EXEC),
    ("torch.from_file", IO),
    ("torch.fx", EXEC),
    ("torch.hub", NET),
    ("torch.jit", EXEC),
    ("torch.jit.load", IO),
    ("torch.jit.save", IO),
    ("torch.library", EXEC),
    ("torch.load", IO),
    ("torch.monitor", NET),
    ("torch.multiprocessing", PROCESS),
    ("torch.nn.parallel", PROCESS),
    ("torch.onnx", IO),
    ("torch.ops", NATIVE),
    ("torch.overrides", CHEAT),
    ("torch.package", EXEC),
    ("torch.profiler", IO),
    ("torch.save", IO),
    ("torch.serialization", IO),
    ("torch.set_num_interop_threads", PROCESS),
    ("torch.set_num_threads", PROCESS),
    ("torch.storage", IO),
    ("torch.utils.bottleneck", EXEC),
    ("torch.utils.cpp_extension", NATIVE),
    ("torch.utils.data.datapipes", IO),
    ("torch.utils.dlpack", NATIVE),
    ("torch.utils.ffi", NATIVE),
    ("torch.utils.mobile_optimizer", IO),
    ("torch.utils.model_zoo", NET),
    ("torch.utils.tensorboard", IO),
];

/// Modules that libraries import for themselves and thereby hand on.
#[rustfmt::skip]
pub(crate) const HANDED_ON: &[&str] = &[
    "builtins", "codecs", "contextlib", "copyreg", "ctypes", "fcntl", "functools", "gc", "importlib",
    "inspect", "io", "itertools", "linecache", "logging", "marshal", "mmap", "multiprocessing", "operator",
    "os", "pathlib", "pickle", "pkgutil", "platform", "posix", "re", "resource", "runpy", "select",
    "shutil", "signal", "socket", "ssl", "string", "struct", "subprocess", "sys", "sysconfig", "tempfile",
    "textwrap", "threading", "time", "traceback", "types", "urllib", "uuid", "warnings", "weakref", "zipfile",
];

/// Builtins that are refused, with the reason.
const REFUSED_BUILTINS: &[(&str, Reason)] = &[
    ("__build_class__", DYNAMIC),
    ("__import__", DYNAMIC),
    ("breakpoint", INTERACTIVE),
    ("compile", DYNAMIC),
    ("copyright", INTERACTIVE),
    ("credits", INTERACTIVE),
    ("eval", DYNAMIC),
    ("exec", DYNAMIC),
    ("exit", INTERACTIVE),
    ("help", INTERACTIVE),
    ("input", INTERACTIVE),
    ("license", INTERACTIVE),
    ("open", FILE),
    ("quit", INTERACTIVE),
];

/// Special attributes that classes of all kinds have and that lead nowhere.
#[rustfmt::skip]
const HARMLESS_DUNDERS: &[&str] = &[
    "__abs__", "__add__", "__and__", "__bool__", "__call__", "__class__", "__constants__",
    "__contains__", "__copy__", "__deepcopy__", "__delitem__", "__dir__", "__div__", "__doc__", "__enter__",
    "__eq__", "__exit__", "__float__", "__floordiv__", "__format__", "__ge__", "__getattr__", "__getitem__",
    "__gt__", "__hash__", "__iadd__", "__imul__", "__index__", "__init__", "__init_subclass__", "__int__",
    "__invert__", "__isub__", "__iter__", "__itruediv__", "__le__", "__len__", "__lt__", "__matmul__",
    "__members__", "__missing__", "__mod__", "__module__", "__mul__", "__name__", "__ne__", "__neg__",
    "__new__", "__next__", "__or__", "__pos__", "__post_init__", "__pow__", "__qualname__", "__radd__",
    "__repr__", "__reversed__", "__rmatmul__", "__rmul__", "__round__", "__rpow__", "__rsub__",
    "__rtruediv__", "__set_name__", "__setattr__", "__setitem__", "__setstate__", "__getstate__",
    "__slots__", "__str__", "__sub__", "__truediv__", "__version__", "__xor__", "__class_getitem__",
    "__delattr__", "__length_hint__", "__rfloordiv__", "__rmod__", "__divmod__", "__complex__", "__ior__",
    "__iand__", "__ixor__", "__ror__", "__rand__", "__rxor__", "__lshift__", "__rshift__", "__ceil__",
    "__floor__", "__trunc__", "__all__", "__aenter__", "__aexit__", "__anext__", "__aiter__", "__await__",
    "__get__", "__set__", "__delete__", "__prepare_scriptable__",
];

/// Whether a name begins and ends with two underscores.
pub(crate) fn is_dunder(name: &str) -> bool {
    name.len() > 4 && name.starts_with("__") && name.ends_with("__")
}

/// Whether a special attribute leads nowhere.
pub(crate) fn is_harmless_dunder(name: &str) -> bool {
    HARMLESS_DUNDERS.contains(&name)
}

/// What the lists say about a full name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Listed {
    /// A module whose listed members may be used.
    Module,
    /// Not a module on the list itself, but the parent of some (`torch.backends`).
    Folder,
    /// A member of a listed module.
    Member,
    /// A builtin of Python.
    Builtin,
}

/// All names of the lists; see `build.rs`.
#[allow(clippy::unreadable_literal, reason = "generated")]
static NAMES: phf::Map<&str, Listed> = include!(concat!(env!("OUT_DIR"), "/names.rs"));

/// What the policy says about a resolved dotted name.
pub(crate) fn opinion(settings: &Settings, name: &str) -> Opinion {
    match settings.opinion(name) {
        Some(true) => return Opinion::Allowed,
        Some(false) => return Opinion::Refused(UNLISTED),
        None => {}
    }
    // The longest listed beginning of the name counts.
    let mut known = name;
    loop {
        let rest = name.get(known.len()..).unwrap_or_default().trim_start_matches('.');
        match NAMES.get(known) {
            Some(Listed::Member) => return attribute_opinion(name, rest),
            Some(Listed::Module) => return member_opinion(name, rest),
            Some(Listed::Folder) if rest.is_empty() => return Opinion::Module,
            Some(Listed::Folder | Listed::Builtin) | None => {}
        }
        match known.rsplit_once('.') {
            Some((parent, _)) => known = parent,
            None => return builtin_opinion(name, known),
        }
    }
}

/// Whether a top-level module is on the list.
pub(crate) fn is_library(top_level: &str) -> bool {
    NAMES.get(top_level) == Some(&Listed::Module)
}

/// What is asked of a listed module, where it is none of its listed members.
fn member_opinion(name: &str, rest: &str) -> Opinion {
    match rest.split_once('.').unwrap_or((rest, "")) {
        ("", _) => Opinion::Module,
        ("*", attributes) => attribute_opinion(name, attributes),
        _ => Opinion::Refused(refusal(name)),
    }
}

/// Attributes of something allowed: special and private ones are not.
fn attribute_opinion(name: &str, attributes: &str) -> Opinion {
    for attribute in attributes.split('.').filter(|attribute| !attribute.is_empty()) {
        if let Some(rule) = rule_of_attribute(attribute) {
            return Opinion::Refused(match rule {
                "PY-TORCH-IO" => IO,
                "PY-TORCH-EXEC" => EXEC,
                _ => REFLECTION,
            });
        }
        if is_dunder(attribute) && !is_harmless_dunder(attribute) {
            return Opinion::Refused(if attribute.starts_with("__torch_") {
                CHEAT
            } else {
                DUNDER
            });
        }
        if attribute.starts_with('_') && !is_dunder(attribute) && name.starts_with("torch.") {
            return Opinion::Refused(NATIVE);
        }
    }
    Opinion::Allowed
}

fn builtin_opinion(name: &str, top_level: &str) -> Opinion {
    let attributes = name.strip_prefix(top_level).unwrap_or_default().trim_start_matches('.');
    if let Some((_, reason)) = REFUSED_BUILTINS.iter().find(|(builtin, _)| *builtin == top_level) {
        return Opinion::Refused(*reason);
    }
    if NAMES.get(top_level) == Some(&Listed::Builtin) {
        let formats = matches!(name, "str.format" | "str.format_map");
        return if formats {
            Opinion::Refused(FORMAT)
        } else if matches!(name, "type.__setattr__" | "type.__delattr__") {
            Opinion::Refused(CHEAT)
        } else if top_level == "type" && !attributes.is_empty() {
            Opinion::Refused(REFLECTION)
        } else {
            attribute_opinion(name, attributes)
        };
    }
    let reflects = matches!(top_level, "globals" | "locals" | "vars" | "dir" | "memoryview");
    if top_level == "<ambiguous>" {
        return Opinion::Refused(AMBIGUOUS);
    }
    if top_level == "<own-module>" {
        return Opinion::Refused(OWN_MODULE);
    }
    if reflects || is_dunder(top_level) {
        return Opinion::Refused(REFLECTION);
    }
    Opinion::UnknownModule
}

fn refusal(name: &str) -> Reason {
    let covers = |prefix: &str| {
        name.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let listed = REFUSED_TORCH.iter().filter(|(prefix, _)| covers(prefix));
    if let Some((_, reason)) = listed.max_by_key(|(prefix, _)| prefix.len()) {
        return *reason;
    }
    let handed_on = |part: &str| HANDED_ON.contains(&part.trim_start_matches('_'));
    let passes_through = name.split('.').skip(1).any(handed_on);
    match (name.starts_with("torch."), passes_through) {
        (true, true) => REEXPORT,
        (true, false) if name.split('.').any(|part| part.starts_with('_')) => NATIVE,
        (false, true) => STDLIB_REEXPORT,
        _ => UNLISTED,
    }
}

#[cfg(test)]
mod tests {
    use super::{Opinion, opinion};
    use crate::library_names::{BUILTINS, LIBRARIES};
    use crate::settings::Settings;
    use crate::torch_names::TORCH;

    fn rule(name: &str) -> &'static str {
        match opinion(&Settings::default(), name) {
            Opinion::Module => "module",
            Opinion::Allowed => "allowed",
            Opinion::UnknownModule => "unknown",
            Opinion::Refused(reason) => reason.rule,
        }
    }

    #[test]
    fn the_tables_are_sorted() {
        assert!(BUILTINS.is_sorted());
        for table in [TORCH, LIBRARIES] {
            assert!(table.is_sorted_by_key(|(module, _)| *module));
            assert!(table.iter().all(|(_, members)| members.is_sorted()));
            let plain = |c: char| c == '.' || c == '_' || c.is_ascii_alphanumeric();
            assert!(table.iter().all(|(module, _)| module.chars().all(plain)));
        }
    }

    #[test]
    fn names_are_refused_unless_listed() {
        for (name, expected) in [
            ("torch.nn.Linear", "allowed"),
            ("torch.Tensor.sum", "allowed"),
            ("torch.nn.functional", "module"),
            ("torch.backends", "module"),
            ("torch.utils", "module"),
            ("torch.os.system", "PY-TORCH-REEXPORT"),
            ("torch.nn.functional.warnings.sys", "PY-TORCH-REEXPORT"),
            ("torch.hub.load", "PY-TORCH-NET"),
            ("torch.random.fork_rng", "allowed"),
            ("torch.onnx.is_in_onnx_export", "allowed"),
            ("torch.onnx.export", "PY-TORCH-IO"),
            ("torch.nn.Module.compile", "PY-TORCH-EXEC"),
            ("numpy.ndarray.tofile", "PY-TORCH-IO"),
            ("type.__setattr__", "PY-CHEAT"),
            ("license", "PY-BUILTIN"),
            ("torch.something_new", "PY-NAME"),
            ("torch._C._x", "PY-TORCH-NATIVE"),
            ("torch.Tensor.__torch_function__", "PY-CHEAT"),
            ("collections._sys.modules", "PY-REEXPORT"),
            ("object.__getattribute__", "PY-DUNDER"),
            ("os.system", "unknown"),
            ("eval", "PY-DYN"),
            ("__builtins__", "PY-REFLECT"),
            ("len", "allowed"),
        ] {
            assert_eq!(rule(name), expected, "{name}");
        }
    }
}
