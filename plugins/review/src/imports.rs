//! Rules about imports: an allow-list of modules, and no file that passes for one of them.

use crate::findings::{error, whole};
use crate::names::{Opinion, is_library, opinion};
use crate::settings::Settings;
use crate::{Finding, Observation, Severity, SourceFile};

const REMEDY: &str =
    "use PyTorch, the part of the standard library that is on the list, or modules of the project";

/// `import a.b`.
pub(crate) fn judge_module(settings: &Settings, seen: &Observation) -> Option<Finding> {
    judge(settings, seen, &seen.name)
}

/// `from a import b`, stars included.
pub(crate) fn judge_name(settings: &Settings, seen: &Observation) -> Option<Finding> {
    judge(settings, seen, seen.name.strip_suffix(".*").unwrap_or(&seen.name))
}

fn judge(settings: &Settings, seen: &Observation, name: &str) -> Option<Finding> {
    if seen.local {
        return None;
    }
    let top_level = name.split('.').next().unwrap_or(name);
    if !is_library(top_level) && settings.opinion(name) != Some(true) {
        let module = if top_level.is_empty() { name } else { top_level };
        return Some(error(seen, "PY-IMPORT", format!("forbidden imports: {module}"), REMEDY));
    }
    match opinion(settings, name) {
        Opinion::Module | Opinion::Allowed => None,
        Opinion::UnknownModule => {
            Some(error(seen, "PY-IMPORT", format!("forbidden imports: {name}"), REMEDY))
        }
        Opinion::Refused(reason) => {
            let rule = if reason.rule == "PY-NAME" { "PY-IMPORT" } else { reason.rule };
            Some(error(seen, rule, format!("forbidden imports: {name}"), reason.remedy))
        }
    }
}

/// Files at the top of the project whose name belongs to a library: Python would load one for the other.
pub(crate) fn judge_files(files: &[SourceFile]) -> Vec<Finding> {
    let shadows = |file: &&SourceFile| {
        // What Python imports ends in lower-case `.py`; the case counts.
        let Some(module) = file.path.strip_suffix(".py") else { return false };
        is_library(module.split('/').next().unwrap_or(module))
    };
    let finding = |file: &SourceFile| {
        let message = format!("the file `{}` has the name of an installed module", file.path);
        let found = whole("PY-SHADOW", Severity::Error, message, "give the file another name");
        Finding { path: Some(file.path.clone()), ..found }
    };
    files.iter().filter(shadows).map(finding).collect()
}
