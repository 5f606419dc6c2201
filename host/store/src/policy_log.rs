//! Components, what happened to policy sets, and which one is in force.

use prism_domain::ids::Digest;
use prism_domain::lifecycle::{SetEvent, SetState};
use prism_domain::policy::Slot;
use prism_domain::time::Timestamp;
use serde::Serialize;

use crate::codec::{bounded, from_column, from_json, parsed, to_column, to_json};
use crate::component_log::{StoredSignature, append};
use crate::decisions::slot;
use crate::dialect::Connection;
use crate::error::StoreError;
use crate::open::Store;

/// What the first row of the log follows on.
pub(crate) const BEGINNING: &str = "";

/// A stored component: who it is and who brought it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StoredComponent {
    /// SHA-256 of the bytes as they were uploaded.
    pub digest: Digest,
    /// The slot that it fits.
    pub slot: Slot,
    /// Its name, as it says.
    pub name: String,
    /// Its version, as it says.
    pub version: String,
    /// What it does, as it says.
    pub summary: String,
    /// JSON Schema of its settings.
    pub settings_schema: String,
    /// The settings that it comes with, JSON.
    pub default_settings: String,
    /// Size in bytes.
    pub size_bytes: u64,
    /// Who uploaded it.
    pub actor: String,
    /// What they said about it.
    pub note: String,
    /// When.
    pub at: Timestamp,
}

/// A row of the log of policies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PolicyLogEntry {
    /// Position, rising.
    pub sequence: i64,
    /// Which set.
    pub policy_set: Digest,
    /// What happened.
    pub event: SetEvent,
    /// The state that followed.
    pub state: SetState,
    /// Who did it.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
    /// Hash of the row before.
    pub previous: String,
    /// Hash of this row.
    pub hash: String,
}

/// The set in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Activation {
    /// Position among the activations, rising.
    pub sequence: i64,
    /// The set.
    pub policy_set: Digest,
    /// The set that was in force before; none the first time.
    pub replaced: Option<Digest>,
    /// Whether a build brought it as its default, without an operator.
    pub embedded: bool,
    /// When.
    pub at: Timestamp,
}

/// Somebody and their reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Act {
    /// Who.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

impl Store {
    /// Stores a component with its bytes, and notes in the log of components who brought it under whose
    /// signature; answers whether it is new. Storing it again changes nothing.
    pub async fn put_policy_component(
        &self,
        component: StoredComponent,
        bytes: Vec<u8>,
        signature: Option<StoredSignature>,
    ) -> Result<bool, StoreError> {
        self.writer
            .write(move |connection| {
                Box::pin(async move {
                    crate::blobs::insert_blob(connection, component.digest, bytes).await?;
                    let digest = component.digest;
                    let (actor, reason, at) =
                        (component.actor.clone(), component.note.clone(), component.at);
                    let inserted = sqlx::query(
                        "INSERT INTO components (digest, slot, name, version, summary, settings_schema, \
                         default_settings, size_bytes, actor, note, at) \
                         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (digest) DO NOTHING",
                    )
                    .bind(component.digest.to_string())
                    .bind(component.slot.as_str())
                    .bind(component.name)
                    .bind(component.version)
                    .bind(component.summary)
                    .bind(component.settings_schema)
                    .bind(component.default_settings)
                    .bind(to_column("size", component.size_bytes)?)
                    .bind(component.actor)
                    .bind(component.note)
                    .bind(component.at.as_micros())
                    .execute(&mut *connection)
                    .await?;
                    let new = inserted.rows_affected() > 0;
                    if new {
                        append(connection, digest, signature, Act { actor, reason, at }).await?;
                    }
                    Ok(new)
                })
            })
            .await
    }

    /// A component by its digest.
    pub async fn policy_component(
        &self,
        digest: Digest,
    ) -> Result<Option<StoredComponent>, StoreError> {
        let row: Option<ComponentRow> =
            sqlx::query_as("SELECT * FROM components WHERE digest = $1")
                .bind(digest.to_string())
                .fetch_optional(&self.readers)
                .await?;
        row.map(TryInto::try_into).transpose()
    }

    /// Components, the newest first.
    pub async fn policy_components(&self, limit: u32) -> Result<Vec<StoredComponent>, StoreError> {
        let rows: Vec<ComponentRow> =
            sqlx::query_as("SELECT * FROM components ORDER BY at DESC, digest LIMIT $1")
                .bind(bounded(limit))
                .fetch_all(&self.readers)
                .await?;
        rows.into_iter().map(TryInto::try_into).collect()
    }

    /// Where a set stands; none when nothing ever happened to it.
    pub async fn set_state(&self, policy_set: Digest) -> Result<Option<SetState>, StoreError> {
        let state: Option<String> =
            sqlx::query_scalar("SELECT state FROM policy_set_states WHERE policy_set = $1")
                .bind(policy_set.to_string())
                .fetch_optional(&self.readers)
                .await?;
        state.map(|name| state_of(&name)).transpose()
    }

    /// Applies an event to a stored set and appends it to the log; answers the state that follows.
    pub async fn apply_set_event(
        &self,
        policy_set: Digest,
        event: SetEvent,
        act: Act,
    ) -> Result<SetState, StoreError> {
        self.writer
            .write(move |connection| Box::pin(apply(connection, policy_set, event, act)))
            .await
    }

    /// Puts a set in force: it is activated, and the one before is superseded, in one transaction. With
    /// `expected` only when that set is in force. A set that is in force already stays so.
    pub async fn activate(
        &self,
        policy_set: Digest,
        activation: NewActivation,
    ) -> Result<Activation, StoreError> {
        self.writer
            .write(move |connection| Box::pin(activate(connection, policy_set, activation)))
            .await
    }

    /// Takes a set that fails out of force and puts another one in its place, in one transaction; none when
    /// the set is not in force any more.
    pub async fn quarantine(
        &self,
        policy_set: Digest,
        back_to: Digest,
        act: Act,
    ) -> Result<Option<Activation>, StoreError> {
        self.writer
            .write(move |connection| Box::pin(quarantine(connection, policy_set, back_to, act)))
            .await
    }

    /// How many submissions wait because that set gives no answer, and of how many hotkeys they are.
    pub async fn policy_faults(&self, policy_set: Digest) -> Result<(u64, u64), StoreError> {
        let (submissions, hotkeys): (i64, i64) = sqlx::query_as(
            "SELECT COUNT(*), COUNT(DISTINCT hotkey) FROM submissions \
             WHERE status = 'held' AND cause = 'policy_fault' AND policy_set = $1",
        )
        .bind(policy_set.to_string())
        .fetch_one(&self.readers)
        .await?;
        Ok((from_column("count", submissions)?, from_column("count", hotkeys)?))
    }

    /// The activation in force; none before the first.
    pub async fn active(&self) -> Result<Option<Activation>, StoreError> {
        let row: Option<ActivationRow> =
            sqlx::query_as(LAST_ACTIVATION).fetch_optional(&self.readers).await?;
        row.map(TryInto::try_into).transpose()
    }

    /// Whether a set was in force at some time.
    pub async fn was_in_force(&self, policy_set: Digest) -> Result<bool, StoreError> {
        let times: i64 =
            sqlx::query_scalar("SELECT COUNT(*) FROM activations WHERE policy_set = $1")
                .bind(policy_set.to_string())
                .fetch_one(&self.readers)
                .await?;
        Ok(times > 0)
    }

    /// The log after a position, oldest first.
    pub async fn policy_log_after(
        &self,
        sequence: i64,
        limit: u32,
    ) -> Result<Vec<PolicyLogEntry>, StoreError> {
        let rows: Vec<LogRow> = sqlx::query_as(
            "SELECT * FROM policy_log WHERE sequence > $1 ORDER BY sequence LIMIT $2",
        )
        .bind(sequence)
        .bind(bounded(limit))
        .fetch_all(&self.readers)
        .await?;
        rows.into_iter().map(TryInto::try_into).collect()
    }
}

/// How a set comes into force.
#[derive(Debug, Clone)]
pub struct NewActivation {
    /// The set that the caller believes to be in force; none where it does not matter.
    pub expected: Option<Digest>,
    /// Whether a build brings it as its default.
    pub embedded: bool,
    /// Why no backtest was demanded.
    pub without_backtest: Option<String>,
    /// Who and why.
    pub act: Act,
}

const LAST_ACTIVATION: &str = "SELECT * FROM activations ORDER BY sequence DESC LIMIT 1";

/// The activation in force as the connection sees it.
pub(crate) async fn last_activation(
    connection: &mut Connection,
) -> Result<Option<Activation>, StoreError> {
    let last: Option<ActivationRow> =
        sqlx::query_as(LAST_ACTIVATION).fetch_optional(connection).await?;
    last.map(TryInto::try_into).transpose()
}

async fn activate(
    connection: &mut Connection,
    policy_set: Digest,
    new: NewActivation,
) -> Result<Activation, StoreError> {
    let last = last_activation(connection).await?;
    let replaced = last.map(|last| last.policy_set);
    if new.expected.is_some() && new.expected != replaced {
        return Err(StoreError::Moved("policy set in force"));
    }
    if let Some(last) = last.filter(|last| last.policy_set == policy_set) {
        return Ok(last);
    }
    if let Some(before) = replaced {
        let event = SetEvent::Superseded { by: policy_set };
        apply(connection, before, event, new.act.clone()).await?;
    }
    put_in_force(connection, policy_set, replaced, new).await
}

async fn quarantine(
    connection: &mut Connection,
    policy_set: Digest,
    back_to: Digest,
    act: Act,
) -> Result<Option<Activation>, StoreError> {
    if last_activation(connection).await?.map(|last| last.policy_set) != Some(policy_set) {
        return Ok(None);
    }
    apply(connection, policy_set, SetEvent::Quarantined, act.clone()).await?;
    let new = NewActivation { expected: None, embedded: false, without_backtest: None, act };
    put_in_force(connection, back_to, Some(policy_set), new).await.map(Some)
}

pub(crate) async fn put_in_force(
    connection: &mut Connection,
    policy_set: Digest,
    replaced: Option<Digest>,
    new: NewActivation,
) -> Result<Activation, StoreError> {
    let event = SetEvent::Activated { without_backtest: new.without_backtest };
    let at = new.act.at;
    apply(connection, policy_set, event, new.act).await?;
    crate::policy_ends::forget_rewards_faults(connection, policy_set).await?;
    let sequence = sqlx::query_scalar(
        "INSERT INTO activations (policy_set, replaced, embedded, at) VALUES ($1, $2, $3, $4) RETURNING sequence",
    )
    .bind(policy_set.to_string())
    .bind(replaced.map(|digest| digest.to_string()))
    .bind(i64::from(new.embedded))
    .bind(at.as_micros())
    .fetch_one(connection)
    .await?;
    Ok(Activation { sequence, policy_set, replaced, embedded: new.embedded, at })
}

pub(crate) async fn apply(
    connection: &mut Connection,
    policy_set: Digest,
    event: SetEvent,
    act: Act,
) -> Result<SetState, StoreError> {
    let name = policy_set.to_string();
    let before: Option<String> =
        sqlx::query_scalar("SELECT state FROM policy_set_states WHERE policy_set = $1")
            .bind(&name)
            .fetch_optional(&mut *connection)
            .await?;
    let before = before.map_or(Ok(SetState::Uploaded), |name| state_of(&name))?;
    let state = before.apply(&event)?;
    sqlx::query(
        "INSERT INTO policy_set_states (policy_set, state, at) VALUES ($1, $2, $3) \
         ON CONFLICT (policy_set) DO UPDATE SET state = excluded.state, at = excluded.at",
    )
    .bind(&name)
    .bind(state.as_str())
    .bind(act.at.as_micros())
    .execute(&mut *connection)
    .await?;
    let previous: Option<String> =
        sqlx::query_scalar("SELECT hash FROM policy_log ORDER BY sequence DESC LIMIT 1")
            .fetch_optional(&mut *connection)
            .await?;
    let previous = previous.unwrap_or_else(|| BEGINNING.to_owned());
    let event = to_json(&event)?;
    let hash = hash_of(&previous, &name, &event, state, &act);
    sqlx::query(
        "INSERT INTO policy_log (policy_set, event, state, actor, reason, at, previous, hash) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(name)
    .bind(event)
    .bind(state.as_str())
    .bind(act.actor)
    .bind(act.reason)
    .bind(act.at.as_micros())
    .bind(previous)
    .bind(hash)
    .execute(connection)
    .await?;
    Ok(state)
}

/// SHA-256 over a JSON array of the row, the hash of the row before first.
fn hash_of(previous: &str, policy_set: &str, event: &str, state: SetState, act: &Act) -> String {
    let row = serde_json::json!([
        previous,
        policy_set,
        event,
        state.as_str(),
        act.actor,
        act.reason,
        act.at.as_micros(),
    ]);
    Digest::of(row.to_string().as_bytes()).to_string()
}

/// Whether a run of log rows is whole and unchanged. `previous` is the hash before the first of them.
pub fn log_is_whole(previous: &str, entries: &[PolicyLogEntry]) -> bool {
    let mut before = previous;
    entries.iter().all(|entry| {
        let act = Act { actor: entry.actor.clone(), reason: entry.reason.clone(), at: entry.at };
        let event = to_json(&entry.event).unwrap_or_default();
        let hash = hash_of(before, &entry.policy_set.to_string(), &event, entry.state, &act);
        let whole = entry.previous == before && entry.hash == hash;
        before = &entry.hash;
        whole
    })
}

fn state_of(name: &str) -> Result<SetState, StoreError> {
    SetState::from_name(name)
        .ok_or_else(|| StoreError::corrupt("state of a policy set", format!("`{name}`")))
}

#[derive(sqlx::FromRow)]
struct ComponentRow {
    digest: String,
    slot: String,
    name: String,
    version: String,
    summary: String,
    settings_schema: String,
    default_settings: String,
    size_bytes: i64,
    actor: String,
    note: String,
    at: i64,
}

impl TryFrom<ComponentRow> for StoredComponent {
    type Error = StoreError;

    fn try_from(row: ComponentRow) -> Result<Self, StoreError> {
        Ok(Self {
            digest: parsed("component digest", &row.digest)?,
            slot: slot(&row.slot)?,
            name: row.name,
            version: row.version,
            summary: row.summary,
            settings_schema: row.settings_schema,
            default_settings: row.default_settings,
            size_bytes: from_column("size", row.size_bytes)?,
            actor: row.actor,
            note: row.note,
            at: Timestamp::from_micros(row.at),
        })
    }
}

#[derive(sqlx::FromRow)]
struct ActivationRow {
    sequence: i64,
    policy_set: String,
    replaced: Option<String>,
    embedded: i64,
    at: i64,
}

impl TryFrom<ActivationRow> for Activation {
    type Error = StoreError;

    fn try_from(row: ActivationRow) -> Result<Self, StoreError> {
        Ok(Self {
            sequence: row.sequence,
            policy_set: parsed("policy set", &row.policy_set)?,
            replaced: row.replaced.map(|digest| parsed("policy set", &digest)).transpose()?,
            embedded: row.embedded != 0,
            at: Timestamp::from_micros(row.at),
        })
    }
}

#[derive(sqlx::FromRow)]
struct LogRow {
    sequence: i64,
    policy_set: String,
    event: String,
    state: String,
    actor: String,
    reason: String,
    at: i64,
    previous: String,
    hash: String,
}

impl TryFrom<LogRow> for PolicyLogEntry {
    type Error = StoreError;

    fn try_from(row: LogRow) -> Result<Self, StoreError> {
        Ok(Self {
            sequence: row.sequence,
            policy_set: parsed("policy set", &row.policy_set)?,
            event: from_json("event of a policy set", &row.event)?,
            state: state_of(&row.state)?,
            actor: row.actor,
            reason: row.reason,
            at: Timestamp::from_micros(row.at),
            previous: row.previous,
            hash: row.hash,
        })
    }
}
