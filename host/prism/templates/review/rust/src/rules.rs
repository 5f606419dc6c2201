//! The rules, pure: facts in, verdict out.

use crate::bindings::exports::prism::review::review::{
    Decision, Observation, ObservationKind as Kind, SubmissionFacts, Verdict,
};
use crate::bindings::prism::plugin::log::{Level, write};
use crate::bindings::prism::types::types::{Finding, Severity};
use crate::settings::Settings;

/// The host takes no more.
const FINDINGS_MAX: usize = 200;

pub fn judge(settings: &Settings, facts: &SubmissionFacts) -> Result<Verdict, String> {
    if facts.files.iter().all(|file| file.path != facts.entrypoint) {
        return Err(format!("the entry module `{}` is not among the files", facts.entrypoint));
    }
    let mut findings: Vec<Finding> =
        facts.observations.iter().filter_map(|seen| refusal(settings, seen)).collect();
    let refused = findings.len();
    write(Level::Info, &format!("{refused} of {} observations refused", facts.observations.len()));
    let alike = facts.neighbours.iter().filter(|neighbour| !neighbour.same_hotkey);
    let most = alike.map(|neighbour| neighbour.similarity_ppm).max().unwrap_or(0);
    let held = most > 0 && most >= settings.hold_similarity_ppm;
    findings.truncate(FINDINGS_MAX - 1);
    if held {
        findings.push(Finding {
            rule_id: "COPY-SUSPECTED".into(),
            severity: Severity::Hold,
            message: format!(
                "it is {most} parts per million alike to another hotkey's earlier work"
            ),
            remedy: "a person looks at both".into(),
            path: None,
            line: 0,
            column: 0,
        });
    }
    let decision = match (refused, held) {
        (0, false) => Decision::Accept,
        (0, true) => Decision::Hold,
        _ => Decision::Reject,
    };
    Ok(Verdict { decision, findings })
}

/// What is wrong with one thing that was seen, if anything is.
fn refusal(settings: &Settings, seen: &Observation) -> Option<Finding> {
    let name = &seen.name;
    let listed = |list: &[String], name: &str| list.iter().any(|one| one == name);
    let (rule_id, message, remedy) = match seen.kind {
        Kind::Unreadable => (
            "FILE-UNREADABLE",
            "the file cannot be read as Python".to_owned(),
            "send UTF-8 text that Python can parse",
        ),
        Kind::ImportModule | Kind::ImportName if !seen.local => {
            let module = name.split('.').next().unwrap_or_default();
            if listed(&settings.allowed_modules, module) {
                return None;
            }
            (
                "IMPORT-NOT-LISTED",
                format!("the module `{module}` is not on the list"),
                "do without it, or ask for it to be put on the list",
            )
        }
        Kind::Reference | Kind::Call if !seen.local && listed(&settings.refused_builtins, name) => {
            ("BUILTIN-REFUSED", format!("`{name}` is refused"), "do without it")
        }
        _ => return None,
    };
    Some(Finding {
        rule_id: rule_id.into(),
        severity: Severity::Error,
        message,
        remedy: remedy.into(),
        path: Some(seen.path.clone()),
        line: seen.line,
        column: seen.column,
    })
}
