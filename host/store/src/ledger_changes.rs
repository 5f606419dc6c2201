//! Changing the ledger: each change and its line in the ownership log in one transaction.
//!
//! The schema guards what must hold whoever writes: one family for a fingerprint, one variant for a
//! training of a family, one current best at most.

use prism_domain::estimate::Estimate;
use prism_domain::ids::{FamilyId, SubmissionId};
use prism_domain::ledger::{Family, LedgerChange, Variant};
use prism_domain::time::Timestamp;
use sqlx::QueryBuilder;

use crate::codec::{sketch_bytes, sketch_from, to_json};
use crate::dialect::{Connection, Engine};
use crate::error::StoreError;
use crate::ledger::FamilyTests;
use crate::similarity::{SketchKind, bands};
use crate::stage::FamilyComparisons;

/// Applies the changes in order and appends each to the ownership log, caused by submission `id`.
pub(crate) async fn apply_changes(
    connection: &mut Connection,
    id: SubmissionId,
    changes: &[LedgerChange],
    seen: Option<i64>,
    now: Timestamp,
) -> Result<(), StoreError> {
    if let Some(seen) = seen {
        check_version(connection, seen).await?;
    }
    for change in changes {
        apply(connection, change, now).await?;
        sqlx::query("INSERT INTO ownership_events (at, submission_id, change) VALUES ($1, $2, $3)")
            .bind(now.as_micros())
            .bind(id.to_string())
            .bind(to_json(change)?)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// Adds comparisons to the count of a family.
pub(crate) async fn count_comparisons(
    connection: &mut Connection,
    comparisons: FamilyComparisons,
) -> Result<(), StoreError> {
    let counted = sqlx::query(
        "UPDATE families SET tests = tests + $1, acceptances = acceptances + $2 WHERE id = $3",
    )
    .bind(i64::from(comparisons.tests))
    .bind(i64::from(comparisons.acceptances))
    .bind(comparisons.family_id.to_string())
    .execute(connection)
    .await?;
    found(counted.rows_affected(), "family")
}

async fn check_version(connection: &mut Connection, seen: i64) -> Result<(), StoreError> {
    let version: i64 =
        sqlx::query_scalar("SELECT COALESCE(MAX(sequence), 0) FROM ownership_events")
            .fetch_one(connection)
            .await?;
    if version == seen { Ok(()) } else { Err(StoreError::LedgerMoved) }
}

async fn apply(
    connection: &mut Connection,
    change: &LedgerChange,
    now: Timestamp,
) -> Result<(), StoreError> {
    match change {
        LedgerChange::FoundFamily(family) => {
            insert_family(connection, family, FamilyTests::default()).await
        }
        LedgerChange::ImproveFamily { family_id, submission_id, q_arch } => {
            raise_family(connection, *family_id, *submission_id, *q_arch, now).await
        }
        LedgerChange::TransferFamily { family_id, hotkey, submission_id, q_arch } => {
            raise_family(connection, *family_id, *submission_id, *q_arch, now).await?;
            sqlx::query(
                "UPDATE families SET owner_hotkey = $1, owner_submission_id = $2 WHERE id = $3",
            )
            .bind(hotkey.as_str())
            .bind(submission_id.to_string())
            .bind(family_id.to_string())
            .execute(connection)
            .await?;
            Ok(())
        }
        LedgerChange::RecordVariant(variant) => record_variant(connection, variant, now).await,
        LedgerChange::TransferVariant { .. } => transfer_variant(connection, change, now).await,
        LedgerChange::Restated { .. } => {
            Err(StoreError::Invalid("a submission restates nothing".to_owned()))
        }
    }
}

/// Writes a family as it stands.
pub(crate) async fn insert_family(
    connection: &mut Connection,
    family: &Family,
    tests: FamilyTests,
) -> Result<(), StoreError> {
    let q_arch = family.q_arch_best;
    sqlx::query(
        "INSERT INTO families (id, family_hash, owner_hotkey, owner_submission_id, canonical_submission_id, \
         q_arch_value, q_arch_std_error, q_arch_samples, sketch, created_at, updated_at, improved_at, \
         tests, acceptances) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
    )
    .bind(family.id.to_string())
    .bind(family.family_hash.to_string())
    .bind(family.owner_hotkey.as_str())
    .bind(family.owner_submission_id.to_string())
    .bind(family.canonical_submission_id.to_string())
    .bind(q_arch.value)
    .bind(q_arch.std_error)
    .bind(i64::from(q_arch.samples))
    .bind(sketch_bytes(&family.sketch))
    .bind(family.created_at.as_micros())
    .bind(family.updated_at.as_micros())
    .bind(family.improved_at.as_micros())
    .bind(i64::from(tests.tests))
    .bind(i64::from(tests.acceptances))
    .execute(&mut *connection)
    .await?;
    insert_bands(connection, family.id, &family.sketch).await
}

/// A new best: the submission becomes canonical, and with it what the family is recognised by.
async fn raise_family(
    connection: &mut Connection,
    family_id: FamilyId,
    submission_id: SubmissionId,
    q_arch: Estimate,
    now: Timestamp,
) -> Result<(), StoreError> {
    let raised = sqlx::query(
        "UPDATE families SET canonical_submission_id = $1, q_arch_value = $2, q_arch_std_error = $3, \
         q_arch_samples = $4, updated_at = $5, improved_at = $5 WHERE id = $6",
    )
    .bind(submission_id.to_string())
    .bind(q_arch.value)
    .bind(q_arch.std_error)
    .bind(i64::from(q_arch.samples))
    .bind(now.as_micros())
    .bind(family_id.to_string())
    .execute(&mut *connection)
    .await?;
    found(raised.rows_affected(), "family")?;
    let sketch: Option<Vec<u8>> = sqlx::query_scalar(
        "SELECT architecture_sketch FROM fingerprints \
         JOIN submissions ON submissions.sequence = fingerprints.sequence WHERE submissions.id = $1",
    )
    .bind(submission_id.to_string())
    .fetch_optional(&mut *connection)
    .await?;
    // A training submission has no architecture of its own: the family keeps its look.
    let Some(sketch) = sketch.filter(|sketch| !sketch.is_empty()) else { return Ok(()) };
    for (sql, bytes) in [
        ("UPDATE families SET sketch = $2 WHERE id = $1", Some(&sketch)),
        ("DELETE FROM family_bands WHERE family_id = $1", None),
    ] {
        let query = sqlx::query(sql).bind(family_id.to_string());
        let query = if let Some(bytes) = bytes { query.bind(bytes.clone()) } else { query };
        query.execute(&mut *connection).await?;
    }
    insert_bands(connection, family_id, &sketch_from(&sketch)?).await
}

async fn insert_bands(
    connection: &mut Connection,
    family_id: FamilyId,
    sketch: &[u32],
) -> Result<(), StoreError> {
    let all = bands(SketchKind::Architecture, sketch);
    if all.is_empty() {
        return Ok(());
    }
    let family_id = family_id.to_string();
    let mut query = QueryBuilder::<Engine>::new("INSERT INTO family_bands (band, family_id) ");
    query.push_values(all, |mut row, band| {
        row.push_bind(band).push_bind(family_id.clone());
    });
    query.build().execute(connection).await?;
    Ok(())
}

async fn record_variant(
    connection: &mut Connection,
    variant: &Variant,
    now: Timestamp,
) -> Result<(), StoreError> {
    if variant.is_current_best {
        dethrone(connection, &variant.family_id.to_string(), now).await?;
    }
    insert_variant(connection, variant, variant.is_current_best.then_some(now)).await
}

/// Writes a variant as it stands.
pub(crate) async fn insert_variant(
    connection: &mut Connection,
    variant: &Variant,
    best_since: Option<Timestamp>,
) -> Result<(), StoreError> {
    let q_recipe = variant.q_recipe;
    sqlx::query(
        "INSERT INTO variants (id, family_id, training_hash, owner_hotkey, submission_id, q_recipe_value, \
         q_recipe_std_error, q_recipe_samples, is_current_best, best_since, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
    )
    .bind(variant.id.to_string())
    .bind(variant.family_id.to_string())
    .bind(variant.training_hash.to_string())
    .bind(variant.owner_hotkey.as_str())
    .bind(variant.submission_id.to_string())
    .bind(q_recipe.value)
    .bind(q_recipe.std_error)
    .bind(i64::from(q_recipe.samples))
    .bind(i64::from(variant.is_current_best))
    .bind(best_since.map(Timestamp::as_micros))
    .bind(variant.created_at.as_micros())
    .bind(variant.updated_at.as_micros())
    .execute(connection)
    .await?;
    Ok(())
}

async fn transfer_variant(
    connection: &mut Connection,
    change: &LedgerChange,
    now: Timestamp,
) -> Result<(), StoreError> {
    let LedgerChange::TransferVariant {
        variant_id,
        hotkey,
        submission_id,
        q_recipe,
        becomes_current_best,
    } = change
    else {
        return Ok(());
    };
    let known: Option<(String, i64)> =
        sqlx::query_as("SELECT family_id, is_current_best FROM variants WHERE id = $1")
            .bind(variant_id.to_string())
            .fetch_optional(&mut *connection)
            .await?;
    let (family_id, was_best) = known.ok_or(StoreError::NotFound("variant"))?;
    let crowned = *becomes_current_best && was_best == 0;
    if crowned {
        dethrone(connection, &family_id, now).await?;
    }
    sqlx::query(
        "UPDATE variants SET owner_hotkey = $1, submission_id = $2, q_recipe_value = $3, \
         q_recipe_std_error = $4, q_recipe_samples = $5, updated_at = $6 WHERE id = $7",
    )
    .bind(hotkey.as_str())
    .bind(submission_id.to_string())
    .bind(q_recipe.value)
    .bind(q_recipe.std_error)
    .bind(i64::from(q_recipe.samples))
    .bind(now.as_micros())
    .bind(variant_id.to_string())
    .execute(&mut *connection)
    .await?;
    if *becomes_current_best {
        sqlx::query("UPDATE variants SET is_current_best = 1, best_since = $1 WHERE id = $2")
            .bind(now.as_micros())
            .bind(variant_id.to_string())
            .execute(connection)
            .await?;
    }
    Ok(())
}

/// Leaves a family without a current best, for the next one to take its place.
async fn dethrone(
    connection: &mut Connection,
    family_id: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE variants SET is_current_best = 0, best_since = NULL, updated_at = $1 \
         WHERE family_id = $2 AND is_current_best = 1",
    )
    .bind(now.as_micros())
    .bind(family_id.to_owned())
    .execute(connection)
    .await?;
    Ok(())
}

fn found(rows: u64, what: &'static str) -> Result<(), StoreError> {
    if rows == 1 { Ok(()) } else { Err(StoreError::NotFound(what)) }
}
