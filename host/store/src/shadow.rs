//! Sets that run beside the one in force: what they say to the same questions. Never used for anything.

use prism_domain::ids::Digest;
use prism_domain::lifecycle::{SetEvent, SetState};
use prism_domain::policy::Slot;
use serde::Serialize;

use crate::codec::{bounded, from_column, parsed, to_column};
use crate::decisions::slot;
use crate::error::StoreError;
use crate::open::Store;
use crate::policy_log::{Act, apply};

/// How a shadow's answer stands to the one that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ShadowVerdict {
    /// The same bytes.
    Same,
    /// Another answer.
    Differs,
    /// No answer.
    Fault,
    /// The question was not kept.
    Untried,
}

impl ShadowVerdict {
    const ALL: [Self; 4] = [Self::Same, Self::Differs, Self::Fault, Self::Untried];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Differs => "differs",
            Self::Fault => "fault",
            Self::Untried => "untried",
        }
    }
}

/// What a shadow said to the question of a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShadowAnswer {
    /// Position of the decision.
    pub decision: i64,
    /// How it stands to the answer that counts.
    pub verdict: ShadowVerdict,
    /// The other answer as JSON, or the fault; empty where it is the same.
    pub answer: String,
    /// Fuel that it used.
    pub fuel: u64,
}

/// A decision to which a shadow said something else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Disagreement {
    /// Position of the decision.
    pub decision: i64,
    /// Which submission it was about.
    pub submission_id: String,
    /// Who decided.
    pub slot: Slot,
    /// `differs` or `fault`.
    pub verdict: String,
    /// What counts.
    pub answer: String,
    /// What the shadow said.
    pub shadow_answer: String,
}

/// How much of what was decided a shadow has answered, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ShadowCount {
    /// Who decided.
    pub slot: Slot,
    /// Decisions since the shadow runs beside.
    pub decisions: u64,
    /// Of those: the same answer.
    pub same: u64,
    /// Another answer.
    pub differs: u64,
    /// No answer.
    pub fault: u64,
    /// Not tried, because the question was not kept.
    pub untried: u64,
}

impl Store {
    /// From now on the set runs beside the one in force.
    pub async fn start_shadow(&self, policy_set: Digest, act: Act) -> Result<SetState, StoreError> {
        self.writer
            .write(move |connection| {
                Box::pin(async move {
                    let at = act.at;
                    let state = apply(connection, policy_set, SetEvent::Shadowed, act).await?;
                    sqlx::query(
                        "INSERT INTO shadows (policy_set, since, at) \
                         SELECT $1, COALESCE(MAX(sequence), 0), $2 FROM decisions \
                         WHERE true ON CONFLICT (policy_set) DO NOTHING",
                    )
                    .bind(policy_set.to_string())
                    .bind(at.as_micros())
                    .execute(connection)
                    .await?;
                    Ok(state)
                })
            })
            .await
    }

    /// The sets that run beside the one in force, each with the last decision that it answered.
    pub async fn shadows(&self) -> Result<Vec<(Digest, i64)>, StoreError> {
        let rows: Vec<(String, i64)> = sqlx::query_as(
            "SELECT shadows.policy_set, COALESCE((SELECT MAX(decision) FROM shadow_answers \
             WHERE shadow_answers.policy_set = shadows.policy_set), shadows.since) FROM shadows \
             JOIN policy_set_states ON policy_set_states.policy_set = shadows.policy_set \
             WHERE state = 'shadow' ORDER BY shadows.policy_set",
        )
        .fetch_all(&self.readers)
        .await?;
        rows.into_iter().map(|(set, last)| Ok((parsed("policy set", &set)?, last))).collect()
    }

    /// Keeps what a shadow said; what is there already stays as it is.
    pub async fn put_shadow_answers(
        &self,
        policy_set: Digest,
        answers: Vec<ShadowAnswer>,
    ) -> Result<(), StoreError> {
        self.writer
            .write(move |connection| {
                Box::pin(async move {
                    for answer in answers {
                        sqlx::query(
                            "INSERT INTO shadow_answers (policy_set, decision, verdict, answer, fuel) \
                             VALUES ($1, $2, $3, $4, $5) ON CONFLICT (policy_set, decision) DO NOTHING",
                        )
                        .bind(policy_set.to_string())
                        .bind(answer.decision)
                        .bind(answer.verdict.as_str())
                        .bind(answer.answer)
                        .bind(to_column("fuel", answer.fuel)?)
                        .execute(&mut *connection)
                        .await?;
                    }
                    Ok(())
                })
            })
            .await
    }

    /// How a shadow stands to what was decided since it runs beside, by slot.
    pub async fn shadow_counts(&self, policy_set: Digest) -> Result<Vec<ShadowCount>, StoreError> {
        let rows: Vec<(String, Option<String>, i64)> = sqlx::query_as(
            "SELECT decisions.slot, shadow_answers.verdict, COUNT(*) FROM decisions \
             JOIN shadows ON shadows.policy_set = $1 AND decisions.sequence > shadows.since \
             LEFT JOIN shadow_answers ON shadow_answers.policy_set = $1 \
             AND shadow_answers.decision = decisions.sequence \
             GROUP BY decisions.slot, shadow_answers.verdict",
        )
        .bind(policy_set.to_string())
        .fetch_all(&self.readers)
        .await?;
        let mut counts: Vec<ShadowCount> = Slot::ALL
            .into_iter()
            .map(|slot| ShadowCount {
                slot,
                decisions: 0,
                same: 0,
                differs: 0,
                fault: 0,
                untried: 0,
            })
            .collect();
        for (name, verdict, number) in rows {
            let (of, number) = (slot(&name)?, from_column::<u64>("count", number)?);
            let Some(count) = counts.iter_mut().find(|count| count.slot == of) else { continue };
            count.decisions += number;
            let verdict = ShadowVerdict::ALL
                .into_iter()
                .find(|known| verdict.as_deref() == Some(known.as_str()));
            match verdict {
                Some(ShadowVerdict::Same) => count.same += number,
                Some(ShadowVerdict::Differs) => count.differs += number,
                Some(ShadowVerdict::Fault) => count.fault += number,
                Some(ShadowVerdict::Untried) => count.untried += number,
                None => {}
            }
        }
        Ok(counts)
    }

    /// Decisions after a position to which a shadow said something else, oldest first.
    pub async fn disagreements(
        &self,
        policy_set: Digest,
        after: i64,
        limit: u32,
    ) -> Result<Vec<Disagreement>, StoreError> {
        let rows: Vec<(i64, String, String, String, String, String)> = sqlx::query_as(
            "SELECT decisions.sequence, submissions.id, decisions.slot, shadow_answers.verdict, \
             decisions.answer, shadow_answers.answer FROM shadow_answers \
             JOIN decisions ON decisions.sequence = shadow_answers.decision \
             JOIN submissions ON submissions.sequence = decisions.submission \
             WHERE shadow_answers.policy_set = $1 AND shadow_answers.decision > $2 \
             AND shadow_answers.verdict IN ('differs', 'fault') ORDER BY decisions.sequence LIMIT $3",
        )
        .bind(policy_set.to_string())
        .bind(after)
        .bind(bounded(limit))
        .fetch_all(&self.readers)
        .await?;
        rows.into_iter()
            .map(|(decision, submission_id, name, verdict, answer, shadow_answer)| {
                let slot = slot(&name)?;
                Ok(Disagreement { decision, submission_id, slot, verdict, answer, shadow_answer })
            })
            .collect()
    }
}
