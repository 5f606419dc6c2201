//! Between the domain's words and the WIT's. A question is translated; an answer is input, not truth,
//! and is rebuilt through the domain's checked constructors.

pub(crate) mod review;
pub(crate) mod consult;
pub(crate) mod scaling;
pub(crate) mod thresholds;
pub(crate) mod attribution;
pub(crate) mod rewards;
pub(crate) mod source;

use prism_domain::estimate::{Contribution, Estimate, Metric};
use prism_domain::finding::{Finding, Location, Severity};
use prism_domain::submission::ProjectKind;

use crate::bindings::prism::types::types as wit;

pub(crate) fn kind_to_wit(kind: ProjectKind) -> wit::ProjectKind {
    match kind {
        ProjectKind::Full => wit::ProjectKind::Full,
        ProjectKind::ArchitectureOnly => wit::ProjectKind::ArchitectureOnly,
        ProjectKind::TrainingForArch => wit::ProjectKind::TrainingForArch,
    }
}

pub(crate) fn estimate_to_wit(estimate: Estimate) -> wit::Estimate {
    wit::Estimate {
        value: estimate.value,
        std_error: estimate.std_error,
        samples: estimate.samples,
    }
}

pub(crate) fn estimate_from_wit(estimate: wit::Estimate) -> Estimate {
    Estimate { value: estimate.value, std_error: estimate.std_error, samples: estimate.samples }
}

pub(crate) fn findings_from_wit(findings: Vec<wit::Finding>) -> Vec<Finding> {
    findings.into_iter().map(finding_from_wit).collect()
}

fn finding_from_wit(finding: wit::Finding) -> Finding {
    let (line, column) = (finding.line, finding.column);
    Finding {
        rule_id: finding.rule_id,
        severity: match finding.severity {
            wit::Severity::Note => Severity::Note,
            wit::Severity::Warning => Severity::Warning,
            wit::Severity::Hold => Severity::Hold,
            wit::Severity::Error => Severity::Error,
        },
        message: finding.message,
        remedy: finding.remedy,
        location: finding.path.map(|path| Location { path, line, column }),
    }
}

pub(crate) fn contributions_from_wit(contributions: Vec<wit::Contribution>) -> Vec<Contribution> {
    let contribution = |bar: wit::Contribution| Contribution {
        name: bar.name,
        value: bar.value,
        explanation: bar.explanation,
    };
    contributions.into_iter().map(contribution).collect()
}

pub(crate) fn metrics_from_wit(metrics: Vec<wit::Metric>) -> Vec<Metric> {
    metrics.into_iter().map(|metric| Metric { name: metric.name, value: metric.value }).collect()
}
