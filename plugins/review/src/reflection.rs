//! Rules about attributes of values of unknown origin, access by name, and strings that lead to either.

use crate::findings::{error, finding};
use crate::names::{is_dunder, is_harmless_dunder, is_library};
use crate::{Finding, Observation, Severity};

const REMEDY: &str = "use the ordinary operation instead of looking inside Python";

/// Attributes that lead from a value into the interpreter or to a module.
#[rustfmt::skip]
const FORBIDDEN: &[&str] = &[
    "_C", "__builtins__", "ag_code", "ag_frame", "builtins", "co_code", "co_consts", "cpp_extension",
    "cr_code", "cr_frame", "ctypes", "f_back", "f_builtins", "f_code", "f_globals", "f_locals", "func_code",
    "func_globals", "gi_code", "gi_frame", "gi_yieldfrom", "hub", "importlib", "load_library", "mro", "os",
    "socket", "subprocess", "sys", "tb_frame", "tb_next", "urllib",
];
/// Methods that write or map files.
const FILES: &[&str] = &[
    "_write_file",
    "_new_shared_filename",
    "dump",
    "from_file",
    "load_state_dict_from_url",
    "save",
    "save_to_buffer",
    "share_memory",
    "share_memory_",
    "tofile",
];
/// Methods that compile what they belong to.
const COMPILERS: &[&str] = &["compile"];
/// Methods that read the attributes that a text names.
const FORMATTERS: &[&str] = &["format", "format_map"];
/// Special attributes that may be set on an object of the project.
const SETTABLE: &[&str] = &["__name__", "__qualname__", "__doc__", "__module__"];
/// Special names that strings may hold without meaning harm.
const HARMLESS_TEXTS: &[&str] = &["__main__"];

/// The rule that refuses an attribute whatever it belongs to.
pub(crate) fn rule_of_attribute(name: &str) -> Option<&'static str> {
    if FORBIDDEN.contains(&name) {
        Some("PY-REFLECT")
    } else if FILES.contains(&name) {
        Some("PY-TORCH-IO")
    } else if COMPILERS.contains(&name) {
        Some("PY-TORCH-EXEC")
    } else {
        None
    }
}

/// An attribute of a value of unknown origin.
pub(crate) fn judge_attribute(seen: &Observation) -> Option<Finding> {
    let name = seen.name.as_str();
    let message = format!("forbidden attribute: {name}");
    if let Some(rule) = rule_of_attribute(name).filter(|_| seen.detail != "=") {
        let remedy = match rule {
            "PY-TORCH-IO" => "remove it: an evaluation reads and writes no files",
            "PY-TORCH-EXEC" => "remove it: models are run as they are written",
            _ => REMEDY,
        };
        return Some(error(seen, rule, message, remedy));
    }
    if FORMATTERS.contains(&name) && seen.detail != "=" {
        return Some(error(
            seen,
            "PY-FORMAT",
            message,
            "use an f-string or `.format` on a literal",
        ));
    }
    if !is_dunder(name) {
        return None;
    }
    if matches!(seen.detail.as_str(), "=" | "del") && !SETTABLE.contains(&name) {
        let message = format!("the special attribute `{name}` is changed");
        return Some(error(
            seen,
            "PY-CHEAT",
            message,
            "override the method in a class of your own",
        ));
    }
    if is_harmless_dunder(name) {
        return None;
    }
    let rule = if name.starts_with("__torch_") { "PY-CHEAT" } else { "PY-DUNDER" };
    Some(error(seen, rule, message, REMEDY))
}

/// `getattr(x, "name")` and its kin.
pub(crate) fn judge_access_by_name(seen: &Observation) -> Option<Finding> {
    let (accessor, object) = seen.detail.split_once(' ').unwrap_or((&seen.detail, ""));
    let known = is_library(object.split('.').next().unwrap_or(object));
    let constant = !seen.name.is_empty();
    // A name with a constant beginning (`layer*`) cannot become one that is refused.
    let begins_known = seen.name.ends_with('*');
    let beginning = seen.name.trim_end_matches('*');
    let may_become = |name: &&&str| name.starts_with(beginning);
    let refused = [FORBIDDEN, FILES, COMPILERS, FORMATTERS, &["__"]];
    let dangerous = begins_known && refused.into_iter().flatten().any(|name| may_become(&name));
    if !constant || dangerous || (begins_known && known) {
        if accessor == "hasattr" {
            return None;
        }
        let message = format!("`{accessor}` with a name that is not constant");
        let remedy = "use a constant name, or a dict, nn.ModuleList or nn.ModuleDict";
        return Some(error(seen, "PY-REFLECT", message, remedy));
    }
    let name = seen.name.as_str();
    let reads =
        accessor == "getattr" && (rule_of_attribute(name).is_some() || FORMATTERS.contains(&name));
    let forbidden =
        (is_dunder(name) && !is_harmless_dunder(name)) || FORBIDDEN.contains(&name) || reads;
    let replaces = name == "__class__" && matches!(accessor, "setattr" | "delattr");
    let message = format!("forbidden attribute: {name}");
    (forbidden || replaces || name.starts_with("__") && begins_known)
        .then(|| error(seen, "PY-REFLECT", message, REMEDY))
}

/// A string whose content matters.
pub(crate) fn judge_text(seen: &Observation) -> Option<Finding> {
    match seen.name.as_str() {
        "format-walk" if seen.detail.contains("__") || seen.detail.contains("._") => {
            let message = format!("the format string reads the attribute `{}`", seen.detail);
            Some(error(seen, "PY-FORMAT", message, "format plain values"))
        }
        "annotation-code" => {
            let message = format!("the annotation `{}` holds code", seen.detail);
            Some(error(seen, "PY-ANNOT", message, "annotate with a type"))
        }
        "special-name" if !is_harmless_dunder(&seen.detail) && !is_harmless_text(&seen.detail) => {
            let message = format!("the string `{}` names a special attribute", seen.detail);
            Some(finding(
                seen,
                "PY-DUNDER",
                Severity::Warning,
                message,
                "leave special attributes alone",
            ))
        }
        _ => None,
    }
}

fn is_harmless_text(text: &str) -> bool {
    HARMLESS_TEXTS.contains(&text)
}
