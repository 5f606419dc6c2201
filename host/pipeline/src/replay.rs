//! Decisions taken again: the same question, put to the same policy set, must bring the same bytes.

use std::collections::BTreeMap;
use std::sync::Arc;

use prism_domain::ids::{Digest, SubmissionId};
use prism_domain::policy::{Decided, PolicyFault, PolicySet, Provenance, Slot};
use prism_store::{StoredDecision, WeightsSnapshot};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Pipeline;
use crate::outcome::StageError;
use crate::project::on_blocking_thread;

/// Decisions that are read at once.
const PAGE: u32 = 128;

/// What came of taking one decision again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Replayed {
    /// Position in the log of decisions; of weights, in the log of weights.
    pub sequence: i64,
    /// Which submission it was about; none for weights.
    pub submission_id: Option<SubmissionId>,
    /// Who decided.
    pub slot: Slot,
    /// Under which set.
    pub policy_set: Digest,
    /// The comparison.
    #[serde(flatten)]
    pub verdict: ReplayVerdict,
}

/// Whether the decision was derived again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "verdict")]
pub enum ReplayVerdict {
    /// The same answer, with the same fuel.
    Same,
    /// Another answer, other fuel, or none.
    Differs {
        /// What differs: `answer`, `fuel`, `component` or `fault`.
        what: String,
        /// What was stored.
        then: String,
        /// What came now.
        now: String,
    },
    /// It cannot be taken again: what was asked, or the set, is not stored.
    Unknown {
        /// What is missing.
        why: String,
    },
}

/// Counts of a replay.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct ReplayCounts {
    /// Derived again, byte for byte.
    pub same: u64,
    /// Not.
    pub differs: u64,
    /// Not tried, because something is missing.
    pub unknown: u64,
}

impl ReplayCounts {
    fn add(&mut self, verdict: &ReplayVerdict) {
        match verdict {
            ReplayVerdict::Same => self.same += 1,
            ReplayVerdict::Differs { .. } => self.differs += 1,
            ReplayVerdict::Unknown { .. } => self.unknown += 1,
        }
    }
}

/// A decision as it was stored.
struct Logged {
    sequence: i64,
    submission_id: Option<SubmissionId>,
    provenance: Provenance,
    answer: String,
}

impl Pipeline {
    /// Takes a stored decision again; none when there is none at that position.
    pub async fn replay_decision(&self, sequence: i64) -> Result<Option<Replayed>, StageError> {
        let Some(decision) = self.store.decision(sequence).await? else { return Ok(None) };
        Ok(Some(self.replayed(decision.into(), &mut BTreeMap::new()).await?))
    }

    /// Takes all decisions about a submission again.
    pub async fn replay_submission(&self, id: SubmissionId) -> Result<Vec<Replayed>, StageError> {
        let (mut sets, mut replayed) = (BTreeMap::new(), Vec::new());
        for decision in self.store.decisions(id).await? {
            replayed.push(self.replayed(decision.into(), &mut sets).await?);
        }
        Ok(replayed)
    }

    /// Takes all decisions and all weight vectors again, oldest first. What is not the same is told to `tell`.
    pub async fn replay_all(
        &self,
        mut tell: impl FnMut(&Replayed) + Send,
    ) -> Result<ReplayCounts, StageError> {
        let (mut counts, mut sets, mut after) = (ReplayCounts::default(), BTreeMap::new(), 0);
        let mut note = |counts: &mut ReplayCounts, replayed: &Replayed| {
            counts.add(&replayed.verdict);
            if replayed.verdict != ReplayVerdict::Same {
                tell(replayed);
            }
        };
        loop {
            let page = self.store.decisions_after(after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = last.sequence;
            for decision in page {
                let replayed = self.replayed(decision.into(), &mut sets).await?;
                note(&mut counts, &replayed);
            }
        }
        after = 0;
        loop {
            let page = self.store.weights_after(after, PAGE).await?;
            let Some((last, _)) = page.last() else { break };
            after = *last;
            for (sequence, snapshot) in page {
                let logged = Logged::of_weights(sequence, &snapshot)?;
                let replayed = self.replayed(logged, &mut sets).await?;
                note(&mut counts, &replayed);
            }
        }
        Ok(counts)
    }

    async fn replayed(
        &self,
        logged: Logged,
        sets: &mut BTreeMap<Digest, Option<Arc<dyn PolicySet>>>,
    ) -> Result<Replayed, StageError> {
        let verdict = self.verdict(&logged, sets).await?;
        Ok(Replayed {
            sequence: logged.sequence,
            submission_id: logged.submission_id,
            slot: logged.provenance.slot,
            policy_set: logged.provenance.policy_set,
            verdict,
        })
    }

    async fn verdict(
        &self,
        logged: &Logged,
        sets: &mut BTreeMap<Digest, Option<Arc<dyn PolicySet>>>,
    ) -> Result<ReplayVerdict, StageError> {
        let unknown = |why: &str| Ok(ReplayVerdict::Unknown { why: why.to_owned() });
        let Provenance { slot, policy_set, input, .. } = logged.provenance;
        let Some(question) = self.store.question(input).await? else {
            return unknown("the question was not kept");
        };
        let set = if let Some(known) = sets.get(&policy_set) {
            known.clone()
        } else {
            let set = self.set_of(policy_set).await?;
            sets.insert(policy_set, set.clone());
            set
        };
        let Some(set) = set else {
            return unknown(
                "the policy set is not stored, was revoked, or cannot be loaded any more",
            );
        };
        let now = on_blocking_thread(move || ask(set.as_ref(), slot, &question)).await?;
        Ok(compared(logged, now))
    }
}

impl Logged {
    fn of_weights(sequence: i64, snapshot: &WeightsSnapshot) -> Result<Self, StageError> {
        let answer = serde_json::to_string(&snapshot.vector)
            .map_err(|_source| StageError::Missing { what: "weights" })?;
        let provenance = snapshot.provenance.clone();
        Ok(Self { sequence, submission_id: None, provenance, answer })
    }
}

impl From<StoredDecision> for Logged {
    fn from(decision: StoredDecision) -> Self {
        Self {
            sequence: decision.sequence,
            submission_id: Some(decision.submission_id),
            provenance: decision.provenance,
            answer: decision.answer,
        }
    }
}

/// An answer as JSON, and how it came about.
pub(crate) struct Asked {
    pub(crate) answer: String,
    pub(crate) provenance: Provenance,
}

/// Puts a stored question to a set. A question that cannot be read is a fault of the host, not of the policy.
pub(crate) fn ask(set: &dyn PolicySet, slot: Slot, question: &[u8]) -> Result<Asked, PolicyFault> {
    match slot {
        Slot::Review => asked(question, |input| set.review(&input)),
        Slot::Scaling => asked(question, |input| set.analyse(&input)),
        Slot::Thresholds => asked(question, |input| set.assess(&input)),
        Slot::Attribution => asked(question, |input| set.attribute(&input)),
        Slot::Rewards => asked(question, |input| set.weigh(&input)),
    }
}

fn asked<Q: DeserializeOwned, T: Serialize>(
    question: &[u8],
    decide: impl FnOnce(Q) -> Result<Decided<T>, PolicyFault>,
) -> Result<Asked, PolicyFault> {
    let unreadable = |error: serde_json::Error| PolicyFault {
        class: prism_domain::policy::FaultClass::HostGuard,
        code: "policy-question".to_owned(),
        message: format!("a stored question or its answer cannot be read: {error}"),
    };
    let decided = decide(serde_json::from_slice(question).map_err(unreadable)?)?;
    let answer = serde_json::to_string(&decided.answer).map_err(unreadable)?;
    Ok(Asked { answer, provenance: decided.provenance })
}

fn compared(logged: &Logged, now: Result<Asked, PolicyFault>) -> ReplayVerdict {
    let differs = |what: &str, then: String, now: String| ReplayVerdict::Differs {
        what: what.to_owned(),
        then,
        now,
    };
    let then = &logged.provenance;
    match now {
        Err(fault) => differs("fault", logged.answer.clone(), fault.to_string()),
        Ok(now) if now.answer != logged.answer => {
            differs("answer", logged.answer.clone(), now.answer)
        }
        Ok(now) if now.provenance.component != then.component => {
            let component = now.provenance.component;
            differs("component", then.component.to_string(), component.to_string())
        }
        Ok(now) if now.provenance.fuel != then.fuel => {
            differs("fuel", then.fuel.to_string(), now.provenance.fuel.to_string())
        }
        Ok(_) => ReplayVerdict::Same,
    }
}
