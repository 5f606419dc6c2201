//! Containers whose service died. Labels say who made them: a container belongs to a dead process when
//! that process would be visible here and is not, or when its time is up by the engine's own clock.

use std::collections::HashMap;
use std::fs;

use bollard::Docker;
use bollard::models::ContainerSummary;
use bollard::query_parameters::ListContainersOptionsBuilder;
use prism_domain::time::Timestamp;

use super::{REQUEST_WITHIN, answered};
use crate::config::EvaluationConfig;
use crate::docker::container;

const EVALUATION: &str = "prism.evaluation";
const OWNER: &str = "prism.owner";
const LIFETIME: &str = "prism.lifetime_s";
/// Time for creating and removing, beyond the evaluation's own, seconds.
const MARGIN_S: u64 = 180;

/// Labels of an evaluation's container.
pub(crate) fn labels(config: &EvaluationConfig, evaluation: &str) -> HashMap<String, String> {
    let lifetime_s = config.deadline_ms() / 1_000 + MARGIN_S;
    HashMap::from([
        (EVALUATION.to_owned(), evaluation.to_owned()),
        (OWNER.to_owned(), Owner::this_process().to_string()),
        (LIFETIME.to_owned(), lifetime_s.to_string()),
    ])
}

/// Removes containers of dead evaluations; returns how many. Failures are logged: whatever stays is
/// found the next time.
pub(crate) async fn remove(engine: &Docker) -> usize {
    let filters = HashMap::from([("label", vec![EVALUATION])]);
    let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
    let Ok(found) = answered(REQUEST_WITHIN, engine.list_containers(Some(options))).await else {
        return 0;
    };
    if found.is_empty() {
        return 0;
    }
    let now_s = engine_time_s(engine).await;
    let mut removed = 0;
    for dead in
        found.iter().filter(|container| is_dead(container, now_s)).filter_map(|c| c.id.as_deref())
    {
        tracing::warn!(id = dead, "removing the container of a dead evaluation");
        removed += usize::from(container::remove(engine, dead).await);
    }
    removed
}

/// The engine's clock: the one that dated its containers.
async fn engine_time_s(engine: &Docker) -> Option<i64> {
    let about = answered(REQUEST_WITHIN, engine.info()).await.ok()?;
    about.system_time?.parse::<Timestamp>().ok().map(Timestamp::as_seconds)
}

fn is_dead(container: &ContainerSummary, now_s: Option<i64>) -> bool {
    let Some(labels) = &container.labels else { return false };
    let owner_is_dead = labels.get(OWNER).is_some_and(|owner| Owner::is_known_dead(owner));
    let lifetime_s = labels.get(LIFETIME).and_then(|text| text.parse::<i64>().ok());
    let expired = match (now_s, container.created, lifetime_s) {
        (Some(now_s), Some(created_s), Some(lifetime_s)) => now_s - created_s > lifetime_s,
        _ => false,
    };
    owner_is_dead || expired
}

/// A process, named so that a later one with the same number is another.
#[derive(Debug, PartialEq, Eq)]
struct Owner {
    /// This boot of this kernel and the process namespace: where the number means something.
    world: String,
    id: u32,
    started: String,
}

impl Owner {
    fn this_process() -> Self {
        let id = std::process::id();
        Self { world: world(), id, started: start_of(id).unwrap_or_default() }
    }

    /// Whether `text` names a process of this world that is gone.
    fn is_known_dead(text: &str) -> bool {
        let mut parts = text.split('/');
        let (Some(there), Some(id), Some(started)) = (parts.next(), parts.next(), parts.next())
        else {
            return false;
        };
        let Ok(id) = id.parse::<u32>() else { return false };
        !there.is_empty() && there == world() && start_of(id).as_deref() != Some(started)
    }
}

impl std::fmt::Display for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}", self.world, self.id, self.started)
    }
}

fn world() -> String {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let namespace = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    format!("{}:{}", boot.trim(), namespace.display())
}

/// When a process started, in ticks since the boot.
fn start_of(id: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(19).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(owner: &str, created_s: i64) -> ContainerSummary {
        let labels = [(OWNER, owner), (LIFETIME, "100")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        ContainerSummary {
            created: Some(created_s),
            labels: Some(labels.into()),
            ..ContainerSummary::default()
        }
    }

    #[test]
    fn a_living_owner_keeps_its_container_until_its_time_is_up() {
        let mine = Owner::this_process().to_string();
        assert!(!is_dead(&container(&mine, 1_000), Some(1_100)));
        assert!(is_dead(&container(&mine, 1_000), Some(1_101)));
        assert!(!is_dead(&container(&mine, 1_000), None));
    }

    #[test]
    fn a_dead_owner_does_not_and_a_stranger_does() {
        let later = Owner { started: "1".to_owned(), ..Owner::this_process() };
        let gone = Owner { id: u32::MAX, ..Owner::this_process() };
        let elsewhere = Owner { world: "another:pid".to_owned(), ..gone_copy(&gone) };
        assert!(is_dead(&container(&later.to_string(), 1_000), Some(1_001)));
        assert!(is_dead(&container(&gone.to_string(), 1_000), Some(1_001)));
        assert!(!is_dead(&container(&elsewhere.to_string(), 1_000), Some(1_001)));
        assert!(!is_dead(&ContainerSummary::default(), Some(i64::MAX)));
    }

    fn gone_copy(owner: &Owner) -> Owner {
        Owner { world: owner.world.clone(), id: owner.id, started: owner.started.clone() }
    }
}
