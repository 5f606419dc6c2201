//! Rules about what a module may define and what may run when it is imported.

use crate::findings::error;
use crate::names::{is_dunder, is_harmless_dunder};
use crate::{Finding, Observation};

/// What a module may do at its top besides imports, constants, functions and classes.
const STATEMENTS: &[&str] = &[
    "if",
    "try",
    "raise",
    "assert",
    "del",
    "augmented-assignment",
    "attribute-assignment",
    "item-assignment",
];
/// Metaclasses that only register or enumerate.
pub(crate) const METACLASSES: &[&str] = &["abc.ABCMeta", "enum.EnumMeta", "enum.EnumType"];

/// A statement that runs at import.
pub(crate) fn judge_statement(seen: &Observation) -> Option<Finding> {
    if STATEMENTS.contains(&seen.name.as_str()) {
        return None;
    }
    let what = match (seen.name.as_str(), seen.detail.as_str()) {
        ("call", callee) => format!("a call of `{callee}`"),
        (name, _) => format!("`{name}`"),
    };
    let message = format!(
        "top-level code may only define imports, constants, classes, and functions: {what}"
    );
    Some(error(seen, "PY-STRUCT", message, "move it into a function that the evaluator calls"))
}

/// A function definition.
pub(crate) fn judge_function(seen: &Observation) -> Option<Finding> {
    let (owner, name) = seen.name.rsplit_once('.').unwrap_or(("", &seen.name));
    let message = format!("forbidden method: {name}");
    match name {
        "__torch_function__" | "__torch_dispatch__" => {
            Some(error(seen, "PY-CHEAT", message, "compute on plain tensors"))
        }
        "__del__" => {
            let remedy = "do the work in an ordinary method: nothing may run when objects die";
            Some(error(seen, "PY-STRUCT", message, remedy))
        }
        "__getattr__" | "__dir__" if owner.is_empty() => {
            Some(error(seen, "PY-STRUCT", message, "define the names of the module"))
        }
        _ if is_dunder(name) && !is_harmless_dunder(name) => {
            Some(error(seen, "PY-DUNDER", message, "use an ordinary method"))
        }
        _ => None,
    }
}

/// A class definition.
pub(crate) fn judge_class(seen: &Observation) -> Option<Finding> {
    for base in seen.detail.split(", ") {
        match base.split_once('=') {
            Some(("metaclass", metaclass)) if !METACLASSES.contains(&metaclass) => {
                let message = format!("the class `{}` has the metaclass `{metaclass}`", seen.name);
                return Some(error(seen, "PY-STRUCT", message, "remove the metaclass"));
            }
            Some(("**", _)) => {
                let message =
                    format!("the class `{}` takes keywords that are not written out", seen.name);
                return Some(error(seen, "PY-STRUCT", message, "write the keywords out"));
            }
            _ => {}
        }
        if base == "type" {
            let message = format!("the class `{}` is a metaclass", seen.name);
            return Some(error(seen, "PY-STRUCT", message, "use a function or an ordinary class"));
        }
        if base == "torch.utils.data.DataLoader" {
            let message = format!("the class `{}` is a kind of loader", seen.name);
            return Some(error(seen, "PY-TORCH-PROC", message, "use `DataLoader` as it is"));
        }
        if base == "torch.Tensor" {
            let message = format!("the class `{}` is a kind of tensor", seen.name);
            return Some(error(seen, "PY-CHEAT", message, "compute on plain tensors"));
        }
    }
    None
}
