//! Rules about names that are read, called and assigned.

use crate::findings::error;
use crate::names::{Opinion, is_dunder, is_harmless_dunder, opinion};
use crate::settings::Settings;
use crate::structure::METACLASSES;
use crate::{Finding, Observation};

/// Builtins that reach attributes by name; called they are seen as such, passed on they are not.
const ACCESSORS: &[&str] = &["getattr", "setattr", "delattr"];
/// Functions that are harmless only with the arguments that are seen where they are called.
const BY_NAME: &[&str] =
    &["functools.update_wrapper", "functools.wraps", "inspect.signature", "inspect.Signature"];
/// What makes classes when it is called, and for what its name may be read all the same.
const CLASS_MAKERS: &[(&[&str], &[&str])] = &[
    (&["type"], &["alias", "type"]),
    (&["dataclasses.dataclass"], &["alias", "decorator"]),
    (METACLASSES, &["alias", "type", "metaclass"]),
];
/// Calls that change the state of the process, by prefix; fine inside functions.
const STATEFUL: &[&str] = &[
    "torch.set_",
    "torch.manual_seed",
    "torch.use_",
    "torch.cuda.manual_seed",
    "torch.backends.",
    "torch.random.",
    "print",
];
/// The end of names that only ask whether the machine has something.
const PREDICATE: &str = ".is_available";
/// Switches of PyTorch that a project may set.
const SWITCHES: &[&str] = &["torch.backends.cuda.matmul.", "torch.backends.cudnn."];
/// Special names that a module or class may define by assignment.
const DEFINABLE: &[&str] = &[
    "__jit_unused_properties__",
    "__author__",
    "__email__",
    "__license__",
    "__copyright__",
    "__all__",
];

/// A name that is read.
pub(crate) fn judge_reference(settings: &Settings, seen: &Observation) -> Option<Finding> {
    if seen.local {
        return None;
    }
    let name = seen.name.as_str();
    let makes_classes = CLASS_MAKERS.iter().find(|(makers, _)| makers.contains(&name));
    let passed_on = ACCESSORS.contains(&name)
        || (BY_NAME.contains(&name) && seen.detail != "alias")
        || makes_classes.is_some_and(|(_, usages)| !usages.contains(&seen.detail.as_str()));
    if passed_on {
        let message = format!("`{}` is passed on as a value", seen.name);
        let remedy = if makes_classes.is_some() {
            "write a class statement, with its decorator or metaclass"
        } else {
            "call it with a constant name"
        };
        return Some(error(seen, "PY-REFLECT", message, remedy));
    }
    match opinion(settings, &seen.name) {
        Opinion::Module if seen.detail != "alias" => {
            let message = format!("the module `{}` is used as a value", seen.name);
            Some(error(seen, "PY-REFLECT", message, "name what you need from the module"))
        }
        // The import is refused already.
        Opinion::Module | Opinion::Allowed | Opinion::UnknownModule => None,
        Opinion::Refused(reason) => {
            Some(error(seen, reason.rule, format!("forbidden name: {}", seen.name), reason.remedy))
        }
    }
}

/// A name that is called.
pub(crate) fn judge_call(settings: &Settings, seen: &Observation) -> Option<Finding> {
    if seen.local {
        return None;
    }
    match opinion(settings, &seen.name) {
        Opinion::Refused(reason) => {
            return Some(error(
                seen,
                reason.rule,
                format!("forbidden call: {}", seen.name),
                reason.remedy,
            ));
        }
        Opinion::Module | Opinion::UnknownModule => return None,
        Opinion::Allowed => {}
    }
    if seen.name == "torch.utils.data.DataLoader" && !has_no_workers(&seen.detail) {
        let message = "`DataLoader` with worker processes".to_owned();
        return Some(error(seen, "PY-TORCH-PROC", message, "leave `num_workers` at 0"));
    }
    if let Some(finding) = judge_arguments(seen) {
        return Some(finding);
    }
    if makes_class(seen) {
        let message = format!("forbidden call: {} that makes a class", seen.name);
        return Some(error(seen, "PY-REFLECT", message, "write a class statement"));
    }
    let stateful = STATEFUL.iter().any(|prefix| seen.name.starts_with(prefix));
    if seen.at_import && stateful && !seen.name.ends_with(PREDICATE) {
        let message = format!("`{}` runs when the module is imported", seen.name);
        return Some(error(seen, "PY-STRUCT", message, "move the call into a function"));
    }
    None
}

/// Whether a call makes a class of what nobody has read: names and annotations may be computed.
fn makes_class(seen: &Observation) -> bool {
    let mut arguments = seen.detail.split(", ");
    match seen.name.as_str() {
        "type" => {
            let first = arguments.next().unwrap_or_default();
            first.is_empty()
                || first.starts_with('*')
                || first.contains('=')
                || arguments.next().is_some()
        }
        // Its methods are text that is run, made of the names in the class.
        "dataclasses.dataclass" => arguments.next() != Some("@"),
        name => METACLASSES.contains(&name),
    }
}

/// Calls that become others by their arguments: copying attributes by name, reading text as code, processes.
fn judge_arguments(seen: &Observation) -> Option<Finding> {
    let arguments = || seen.detail.split(", ").filter(|argument| !matches!(*argument, "" | "@"));
    let given = |name: &str| {
        let named = |argument: &str| argument.split('=').next() == Some(name) && argument != name;
        arguments().any(|argument| named(argument) || matches!(argument, "*" | "**"))
    };
    let positional = arguments().filter(|argument| !argument.contains('=')).count();
    match seen.name.as_str() {
        "functools.wraps" | "functools.update_wrapper" => {
            let most = if seen.name.ends_with("wraps") { 1 } else { 2 };
            let chosen = given("assigned") || given("updated") || positional > most;
            let message = format!("`{}` with attributes of choice", seen.name);
            chosen.then(|| error(seen, "PY-REFLECT", message, "leave out which are copied"))
        }
        name if name.starts_with("inspect.") && given("eval_str") => {
            let message = "annotations are read as code".to_owned();
            Some(error(seen, "PY-DYN", message, "leave `eval_str` out"))
        }
        "functools.partial" if arguments().any(|it| it.starts_with("num_workers=")) => {
            let message = "worker processes for later".to_owned();
            Some(error(seen, "PY-TORCH-PROC", message, "leave `num_workers` out"))
        }
        _ => None,
    }
}

/// Whether the constants of a call say that a loader starts no process: the sixth argument is 0 or absent.
fn has_no_workers(constants: &str) -> bool {
    const POSITION: usize = 5;
    let arguments: Vec<&str> = constants.split(", ").collect();
    let unclear = arguments.iter().any(|it| matches!(*it, "*" | "**") || it.ends_with('…'));
    let positional = arguments.iter().take_while(|it| !it.contains('=')).nth(POSITION);
    let named = arguments.iter().find_map(|it| it.strip_prefix("num_workers="));
    !unclear
        && positional.is_none_or(|value| *value == "0")
        && named.is_none_or(|value| value == "0")
}

/// A name that is assigned or deleted.
pub(crate) fn judge_assignment(settings: &Settings, seen: &Observation) -> Option<Finding> {
    let name = seen.name.as_str();
    if seen.local {
        // Annotations that are written out, as TorchScript wants them of some attributes.
        let spelled_out = name == "__annotations__" && seen.detail == "names";
        let special = is_dunder(name)
            && !is_harmless_dunder(name)
            && !DEFINABLE.contains(&name)
            && !spelled_out;
        let message = format!("the special name `{name}` is assigned");
        return special.then(|| error(seen, "PY-DUNDER", message, "leave special names alone"));
    }
    if SWITCHES.iter().any(|prefix| name.starts_with(prefix))
        || settings.opinion(name) == Some(true)
    {
        return None;
    }
    let message = format!("`{name}` of an imported module is changed");
    Some(error(
        seen,
        "PY-CHEAT",
        message,
        "define your own function instead of replacing an imported one",
    ))
}
