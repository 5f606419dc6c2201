//! The findings of this policy, one function each, so that their texts stand in one place.

use crate::bindings::exports::prism::attribution::attribution::KnownFamily;
use crate::bindings::prism::types::types::{Finding, Severity};

/// `training_for_arch` names no family, or one that does not exist.
pub(crate) fn no_target() -> Finding {
    finding(
        "ATTR-NO-TARGET",
        Severity::Error,
        "the project brings training for an architecture family that does not exist".to_owned(),
        "Name an existing family as the target, or submit the architecture with its training as kind full",
    )
}

/// `training_for_arch` has a `build_model` that is not the target's.
pub(crate) fn other_architecture(target: &KnownFamily) -> Finding {
    finding(
        "ATTR-OTHER-ARCHITECTURE",
        Severity::Error,
        format!(
            "the project brings training for family `{}` but trains another architecture (similarity {})",
            target.family_id,
            percent(target.similarity_ppm)
        ),
        "Leave build_model out, or take it from the family, or submit the project as kind full",
    )
}

/// Too similar to be new, not similar enough to be the same.
pub(crate) fn grey_zone(family: &KnownFamily) -> Finding {
    finding(
        "ATTR-GREY-ZONE",
        Severity::Hold,
        format!(
            "the architecture resembles family `{}` ({}) too much to be called new and too little to be \
             called the same",
            family.family_id,
            percent(family.similarity_ppm)
        ),
        "Wait for a person to decide",
    )
}

/// An identical architecture measured better than its family.
pub(crate) fn identical(family: &KnownFamily) -> Finding {
    finding(
        "ATTR-IDENTICAL",
        Severity::Note,
        format!(
            "the architecture is identical to family `{}`, so a different measurement of it is no \
             improvement",
            family.family_id
        ),
        "Change the architecture, or submit the training alone as kind training_for_arch",
    )
}

/// The project names a family that it does not resemble.
pub(crate) fn target_ignored(target: &KnownFamily) -> Finding {
    finding(
        "ATTR-TARGET-IGNORED",
        Severity::Note,
        format!(
            "the project names family `{}` but does not belong to it (similarity {})",
            target.family_id,
            percent(target.similarity_ppm)
        ),
        "",
    )
}

/// Parts per million as a percentage with one decimal, for people.
pub(crate) fn percent(ppm: u32) -> String {
    let tenths = ppm / 1_000;
    format!("{}.{} %", tenths / 10, tenths % 10)
}

fn finding(rule_id: &str, severity: Severity, message: String, remedy: &str) -> Finding {
    Finding {
        rule_id: rule_id.to_owned(),
        severity,
        message,
        remedy: remedy.to_owned(),
        path: None,
        line: 0,
        column: 0,
    }
}
