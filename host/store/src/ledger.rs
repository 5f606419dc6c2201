//! Reading the ledger: families, variants, the ownership log, and the view that rewards are computed from.

use prism_domain::facts::sketch_similarity_ppm;
use prism_domain::ids::{Digest, FamilyId, VariantId};
use prism_domain::ledger::{Family, LedgerChange, OwnershipEvent, Variant};
use prism_domain::rewards::{FamilyRow, LedgerView, ScoreRow, VariantRow, to_ppm};
use prism_domain::time::{EpochId, EpochLength, Timestamp};
use serde::{Deserialize, Serialize};
use sqlx::QueryBuilder;

use crate::codec::{
    bounded, estimate, from_column, from_json, hotkey, parsed, sketch_from, to_column,
};
use crate::dialect::{Connection, Engine};
use crate::error::StoreError;
use crate::open::Store;
use crate::similarity::{SketchKind, bands, push_list};

/// Families that share a band and are compared in full.
pub const RESEMBLING_MAX: usize = 128;

macro_rules! family_columns {
    () => {
        "id, family_hash, owner_hotkey, owner_submission_id, canonical_submission_id, q_arch_value, \
         q_arch_std_error, q_arch_samples, sketch, created_at, updated_at, improved_at, tests, acceptances"
    };
}

macro_rules! variant_columns {
    () => {
        "id, family_id, training_hash, owner_hotkey, submission_id, q_recipe_value, q_recipe_std_error, \
         q_recipe_samples, is_current_best, created_at, updated_at"
    };
}

/// Comparisons that were made against a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FamilyTests {
    /// How many.
    pub tests: u32,
    /// How many of them were accepted.
    pub acceptances: u32,
}

/// A family that resembles an architecture.
#[derive(Debug, Clone, PartialEq)]
pub struct ResemblingFamily {
    /// The family.
    pub family: Family,
    /// Whether its founding fingerprint is the one asked for.
    pub same_architecture: bool,
    /// Estimated similarity to its canonical architecture, parts per million.
    pub similarity_ppm: u32,
    /// Comparisons made against it so far.
    pub tests: FamilyTests,
}

#[derive(sqlx::FromRow)]
struct StoredFamily {
    id: String,
    family_hash: String,
    owner_hotkey: String,
    owner_submission_id: String,
    canonical_submission_id: String,
    q_arch_value: f64,
    q_arch_std_error: f64,
    q_arch_samples: i64,
    sketch: Vec<u8>,
    created_at: i64,
    updated_at: i64,
    improved_at: i64,
    tests: i64,
    acceptances: i64,
}

impl StoredFamily {
    fn tests(&self) -> Result<FamilyTests, StoreError> {
        Ok(FamilyTests {
            tests: from_column("tests", self.tests)?,
            acceptances: from_column("acceptances", self.acceptances)?,
        })
    }
}

impl TryFrom<StoredFamily> for Family {
    type Error = StoreError;

    fn try_from(row: StoredFamily) -> Result<Self, StoreError> {
        Ok(Self {
            id: parsed("family id", &row.id)?,
            family_hash: parsed("family hash", &row.family_hash)?,
            owner_hotkey: hotkey(row.owner_hotkey)?,
            owner_submission_id: parsed("submission id", &row.owner_submission_id)?,
            canonical_submission_id: parsed("submission id", &row.canonical_submission_id)?,
            q_arch_best: estimate(row.q_arch_value, row.q_arch_std_error, row.q_arch_samples)?,
            sketch: sketch_from(&row.sketch)?,
            created_at: Timestamp::from_micros(row.created_at),
            updated_at: Timestamp::from_micros(row.updated_at),
            improved_at: Timestamp::from_micros(row.improved_at),
        })
    }
}

#[derive(sqlx::FromRow)]
struct StoredVariant {
    id: String,
    family_id: String,
    training_hash: String,
    owner_hotkey: String,
    submission_id: String,
    q_recipe_value: f64,
    q_recipe_std_error: f64,
    q_recipe_samples: i64,
    is_current_best: i64,
    created_at: i64,
    updated_at: i64,
}

impl TryFrom<StoredVariant> for Variant {
    type Error = StoreError;

    fn try_from(row: StoredVariant) -> Result<Self, StoreError> {
        Ok(Self {
            id: parsed("variant id", &row.id)?,
            family_id: parsed("family id", &row.family_id)?,
            training_hash: parsed("training hash", &row.training_hash)?,
            owner_hotkey: hotkey(row.owner_hotkey)?,
            submission_id: parsed("submission id", &row.submission_id)?,
            q_recipe: estimate(row.q_recipe_value, row.q_recipe_std_error, row.q_recipe_samples)?,
            is_current_best: row.is_current_best == 1,
            created_at: Timestamp::from_micros(row.created_at),
            updated_at: Timestamp::from_micros(row.updated_at),
        })
    }
}

impl Store {
    /// Families by their best score, of equal ones the older first.
    pub async fn families(&self, limit: u32) -> Result<Vec<Family>, StoreError> {
        let rows: Vec<StoredFamily> = sqlx::query_as(concat!(
            "SELECT ",
            family_columns!(),
            " FROM families ORDER BY q_arch_value DESC, created_at, id LIMIT $1"
        ))
        .bind(bounded(limit))
        .fetch_all(&self.readers)
        .await?;
        rows.into_iter().map(TryInto::try_into).collect()
    }

    /// A family by its identifier.
    pub async fn family(&self, id: FamilyId) -> Result<Option<Family>, StoreError> {
        let row: Option<StoredFamily> =
            sqlx::query_as(concat!("SELECT ", family_columns!(), " FROM families WHERE id = $1"))
                .bind(id.to_string())
                .fetch_optional(&self.readers)
                .await?;
        row.map(TryInto::try_into).transpose()
    }

    /// A family by the architecture fingerprint that founded it.
    pub async fn family_by_hash(&self, family_hash: Digest) -> Result<Option<Family>, StoreError> {
        let row: Option<StoredFamily> = sqlx::query_as(concat!(
            "SELECT ",
            family_columns!(),
            " FROM families WHERE family_hash = $1"
        ))
        .bind(family_hash.to_string())
        .fetch_optional(&self.readers)
        .await?;
        row.map(TryInto::try_into).transpose()
    }

    /// Comparisons made against a family so far; zero for an unknown one.
    pub async fn family_tests(&self, id: FamilyId) -> Result<FamilyTests, StoreError> {
        let row: Option<(i64, i64)> =
            sqlx::query_as("SELECT tests, acceptances FROM families WHERE id = $1")
                .bind(id.to_string())
                .fetch_optional(&self.readers)
                .await?;
        let Some((tests, acceptances)) = row else { return Ok(FamilyTests::default()) };
        Ok(FamilyTests {
            tests: from_column("tests", tests)?,
            acceptances: from_column("acceptances", acceptances)?,
        })
    }

    /// Families that resemble an architecture among all there are: the one with that very fingerprint
    /// first, then the most similar, of equal ones the older.
    pub async fn families_like(
        &self,
        family_hash: Digest,
        sketch: &[u32],
        limit: usize,
    ) -> Result<Vec<ResemblingFamily>, StoreError> {
        let mut reading = self.readers.begin().await?;
        let rows = resembling(&mut reading, family_hash, sketch).await?;
        drop(reading);
        let families = rows.into_iter().map(|row| Ok((row.tests()?, Family::try_from(row)?)));
        let families = families.collect::<Result<Vec<_>, StoreError>>()?;
        Ok(ranked(families, family_hash, sketch, limit))
    }

    /// Variants of one family or of all: current bests first, then by score, of equal ones the older.
    pub async fn variants(
        &self,
        family: Option<FamilyId>,
        limit: u32,
    ) -> Result<Vec<Variant>, StoreError> {
        let mut query =
            QueryBuilder::<Engine>::new(concat!("SELECT ", variant_columns!(), " FROM variants"));
        if let Some(family) = family {
            query.push(" WHERE family_id = ").push_bind(family.to_string());
        }
        query.push(" ORDER BY is_current_best DESC, q_recipe_value DESC, created_at, id LIMIT ");
        query.push_bind(bounded(limit));
        let rows = query.build_query_as::<StoredVariant>().fetch_all(&self.readers).await?;
        rows.into_iter().map(TryInto::try_into).collect()
    }

    /// All variants of the given families, in the order of [`Store::variants`].
    pub async fn variants_of(&self, families: &[FamilyId]) -> Result<Vec<Variant>, StoreError> {
        if families.is_empty() {
            return Ok(Vec::new());
        }
        let mut query = QueryBuilder::<Engine>::new(concat!(
            "SELECT ",
            variant_columns!(),
            " FROM variants WHERE family_id IN ("
        ));
        let mut list = query.separated(", ");
        for family in families {
            list.push_bind(family.to_string());
        }
        query.push(") ORDER BY is_current_best DESC, q_recipe_value DESC, created_at, id");
        let rows = query.build_query_as::<StoredVariant>().fetch_all(&self.readers).await?;
        rows.into_iter().map(TryInto::try_into).collect()
    }

    /// A variant by its identifier.
    pub async fn variant(&self, id: VariantId) -> Result<Option<Variant>, StoreError> {
        let row: Option<StoredVariant> =
            sqlx::query_as(concat!("SELECT ", variant_columns!(), " FROM variants WHERE id = $1"))
                .bind(id.to_string())
                .fetch_optional(&self.readers)
                .await?;
        row.map(TryInto::try_into).transpose()
    }

    /// The version of the ledger: the number of the last ownership event, 0 before the first.
    pub async fn ledger_version(&self) -> Result<i64, StoreError> {
        let version = sqlx::query_scalar("SELECT COALESCE(MAX(sequence), 0) FROM ownership_events")
            .fetch_one(&self.readers)
            .await?;
        Ok(version)
    }

    /// The ownership log after `cursor` (0 from the beginning), oldest first.
    pub async fn ownership_events(
        &self,
        cursor: i64,
        limit: u32,
    ) -> Result<Vec<OwnershipEvent>, StoreError> {
        let rows: Vec<(i64, i64, String, String)> = sqlx::query_as(
            "SELECT sequence, at, submission_id, change FROM ownership_events \
             WHERE sequence > $1 ORDER BY sequence LIMIT $2",
        )
        .bind(cursor)
        .bind(bounded(limit))
        .fetch_all(&self.readers)
        .await?;
        let events = rows.into_iter().map(|(sequence, at, submission_id, change)| {
            Ok(OwnershipEvent {
                sequence,
                at: Timestamp::from_micros(at),
                submission_id: parsed("submission id", &submission_id)?,
                change: from_json::<LedgerChange>("ledger change", &change)?,
            })
        });
        events.collect()
    }

    /// What the weights of `epoch` are computed from, all of one instant, rows in the order of their
    /// identifiers. Ages count in whole epochs, so that the view changes with the ledger and the
    /// epoch and with nothing else.
    pub async fn ledger_view(
        &self,
        epoch: EpochId,
        length: EpochLength,
    ) -> Result<LedgerView, StoreError> {
        let mut reading = self.readers.begin().await?;
        view_of(&mut reading, epoch, length).await
    }
}

/// [`Store::ledger_view`] as the connection sees it.
pub(crate) async fn view_of(
    connection: &mut Connection,
    epoch: EpochId,
    length: EpochLength,
) -> Result<LedgerView, StoreError> {
    let families: Vec<(String, String, f64, i64)> = sqlx::query_as(
        "SELECT id, owner_hotkey, q_arch_value, improved_at FROM families ORDER BY id",
    )
    .fetch_all(&mut *connection)
    .await?;
    let variants: Vec<(String, String, String, f64, i64)> = sqlx::query_as(
        "SELECT id, family_id, owner_hotkey, q_recipe_value, best_since FROM variants \
         WHERE is_current_best = 1 ORDER BY id",
    )
    .fetch_all(&mut *connection)
    .await?;
    let scores: Vec<(String, String, f64)> = sqlx::query_as(
        "SELECT id, hotkey, final_score FROM submissions \
         WHERE status = 'completed' AND epoch = $1 ORDER BY id",
    )
    .bind(to_column("epoch", epoch.0)?)
    .fetch_all(&mut *connection)
    .await?;
    let age = |since: i64| epoch.0.saturating_sub(length.epoch_at(Timestamp::from_micros(since)).0);
    let families = families.into_iter().map(|(family_id, owner, score, since)| {
        let (hotkey, q_arch_best_ppm) = (hotkey(owner)?, to_ppm(score));
        Ok(FamilyRow { family_id, hotkey, q_arch_best_ppm, age_epochs: age(since) })
    });
    let variants = variants.into_iter().map(|(variant_id, family_id, owner, score, since)| {
        let (hotkey, q_recipe_ppm) = (hotkey(owner)?, to_ppm(score));
        Ok(VariantRow { variant_id, family_id, hotkey, q_recipe_ppm, age_epochs: age(since) })
    });
    let scores = scores.into_iter().map(|(submission_id, sender, score)| {
        Ok(ScoreRow { submission_id, hotkey: hotkey(sender)?, final_score_ppm: to_ppm(score) })
    });
    Ok(LedgerView {
        epoch,
        families: families.collect::<Result<_, StoreError>>()?,
        variants: variants.collect::<Result<_, StoreError>>()?,
        scores: scores.collect::<Result<_, StoreError>>()?,
    })
}

/// Families by their nearness to an architecture: the one with that very fingerprint first, then the most
/// similar, of equal ones the older.
pub fn ranked(
    families: Vec<(FamilyTests, Family)>,
    family_hash: Digest,
    sketch: &[u32],
    limit: usize,
) -> Vec<ResemblingFamily> {
    let mut found: Vec<ResemblingFamily> = families
        .into_iter()
        .map(|(tests, family)| ResemblingFamily {
            similarity_ppm: sketch_similarity_ppm(&family.sketch, sketch),
            same_architecture: family.family_hash == family_hash,
            family,
            tests,
        })
        .collect();
    found.sort_by_key(|one| {
        let nearness = std::cmp::Reverse((one.same_architecture, one.similarity_ppm));
        (nearness, one.family.created_at, one.family.id)
    });
    found.truncate(limit);
    found
}

async fn resembling(
    connection: &mut Connection,
    family_hash: Digest,
    sketch: &[u32],
) -> Result<Vec<StoredFamily>, StoreError> {
    let mut query = QueryBuilder::<Engine>::new(concat!(
        "SELECT ",
        family_columns!(),
        " FROM families WHERE family_hash = "
    ));
    query.push_bind(family_hash.to_string());
    let wanted = bands(SketchKind::Architecture, sketch);
    if !wanted.is_empty() {
        query.push(" OR id IN (SELECT family_id FROM family_bands WHERE band IN ");
        push_list(&mut query, &wanted);
        query.push(" GROUP BY family_id ORDER BY COUNT(*) DESC, family_id LIMIT ");
        query.push_bind(i64::try_from(RESEMBLING_MAX).unwrap_or(i64::MAX)).push(")");
    }
    Ok(query.build_query_as::<StoredFamily>().fetch_all(connection).await?)
}
