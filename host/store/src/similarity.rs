//! Which earlier work does this resemble? Fingerprints by index, sketches by locality-sensitive hashing.
//!
//! A submission is compared only with earlier ones, and never with rejected ones or with ones that
//! failed through no fault of their miner: nobody's own retry, and no copy of his work, speaks against him.

use std::collections::BTreeMap;

use prism_domain::facts::{SourceFacts, sketch_similarity_ppm};
use prism_domain::ids::{Digest, Hotkey};
use prism_domain::review::Neighbour;
use sqlx::QueryBuilder;

use crate::codec::{parsed, sketch_bytes, sketch_from};
use crate::dialect::{Connection, Engine};
use crate::error::StoreError;
use crate::open::Store;

/// Values of a sketch in one band: with 128 values 32 bands, which find a pair of similarity 0.65
/// with probability 0.997 and one of 0.42 with 0.64.
const BAND_VALUES: usize = 4;
/// Similarity from which another's earlier work may be what one's own later work was made of, parts per million.
const NEAR_PPM: u32 = 500_000;
/// Candidates of each search that are compared in full.
const CANDIDATES_MAX: i64 = 128;
/// Submissions of one band that are looked at, the earliest.
const BAND_CANDIDATES_MAX: i64 = 256;
/// Submissions with shared bands that are compared in full.
const RANKED_MAX: usize = 256;
/// Who may be a neighbour.
const ELIGIBLE: &str = " AND submissions.status <> 'rejected' \
     AND (submissions.blame IS NULL OR submissions.blame = 'miner') ";

/// What one's own earlier work is, by which later work is judged: what a review or a person let pass. A copy that is held
/// must not make the next one look like the next version of one's own.
const HAS_PASSED: &str = " OR (submissions.status <> 'held' AND NOT EXISTS (SELECT 1 FROM jobs \
     WHERE jobs.submission = submissions.sequence AND jobs.stage IN ('facts', 'review')))) ";

/// Which sketch a band is cut from; bands of different sketches never meet.
#[derive(Debug, Clone, Copy)]
pub(crate) enum SketchKind {
    /// Of the whole project.
    Source,
    /// Of what `build_model` reaches.
    Architecture,
}

/// An earlier submission that resembles another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResemblingSubmission {
    /// Its place in the order of acceptance.
    pub sequence: i64,
    /// As a review policy is shown it.
    pub neighbour: Neighbour,
    /// Estimated similarity of the architectures, parts per million.
    pub architecture_similarity_ppm: u32,
}

impl Store {
    /// Earlier submissions that resemble the facts of the submission at `sequence`: equal sources first,
    /// then equal architectures, then the most similar, of equal ones the earliest.
    pub async fn earlier_neighbours(
        &self,
        sequence: i64,
        hotkey: &Hotkey,
        facts: &SourceFacts,
        limit: usize,
    ) -> Result<Vec<ResemblingSubmission>, StoreError> {
        let mut reading = self.readers.begin().await?;
        let mut candidates = equal_fingerprints(&mut reading, sequence, facts).await?;
        candidates.extend(shared_bands(&mut reading, sequence, facts).await?);
        candidates.sort_unstable();
        candidates.dedup();
        let rows = indexed(&mut reading, &candidates, hotkey).await?;
        drop(reading);
        let mut found = Vec::with_capacity(rows.len());
        for row in rows {
            found.push(row.compared(hotkey, facts)?);
        }
        found.retain(ResemblingSubmission::resembles);
        leave_out_own_after_others(&mut found);
        found.sort_by_key(|one| std::cmp::Reverse(one.rank()));
        found.truncate(limit);
        Ok(found)
    }
}

impl ResemblingSubmission {
    fn resembles(&self) -> bool {
        self.neighbour.same_source || self.neighbour.same_architecture || self.similarity_ppm() > 0
    }

    fn similarity_ppm(&self) -> u32 {
        self.neighbour.similarity_ppm.max(self.architecture_similarity_ppm)
    }

    /// Greater is nearer; an earlier one beats a later one.
    fn rank(&self) -> (bool, bool, u32, std::cmp::Reverse<i64>) {
        (
            self.neighbour.same_source,
            self.neighbour.same_architecture,
            self.similarity_ppm(),
            std::cmp::Reverse(self.sequence),
        )
    }
}

/// Leaves out one's own work that came after another's that is as near: a copy that was let pass, for it was half hidden,
/// must not make the next one look like the next version of one's own. Sent again as it was, it stays.
fn leave_out_own_after_others(found: &mut Vec<ResemblingSubmission>) {
    let near = |one: &&ResemblingSubmission| {
        !one.neighbour.same_hotkey
            && (one.neighbour.same_source
                || one.neighbour.same_architecture
                || one.similarity_ppm() >= NEAR_PPM)
    };
    let Some(first) = found.iter().filter(near).map(|one| one.sequence).min() else { return };
    found.retain(|one| {
        !one.neighbour.same_hotkey || one.neighbour.same_source || one.sequence < first
    });
}

#[derive(sqlx::FromRow)]
struct IndexedRow {
    sequence: i64,
    id: String,
    status: String,
    hotkey: String,
    source: String,
    architecture: String,
    training: String,
    source_sketch: Vec<u8>,
    architecture_sketch: Vec<u8>,
}

impl IndexedRow {
    fn compared(
        self,
        hotkey: &Hotkey,
        facts: &SourceFacts,
    ) -> Result<ResemblingSubmission, StoreError> {
        // Whose work is held may be a copier: it is near, and speaks for a person to look, but it refuses nobody.
        let may_be_original = self.status != "held";
        let equal = |stored: &str, of: fn(&prism_domain::facts::Fingerprints) -> Digest| {
            let stored: Digest = parsed("fingerprint", stored)?;
            let equal = facts.fingerprints.as_ref().is_some_and(|mine| of(mine) == stored);
            Ok::<_, StoreError>(equal && may_be_original)
        };
        let neighbour = Neighbour {
            submission_id: parsed("submission id", &self.id)?,
            same_hotkey: self.hotkey == hotkey.as_str(),
            same_source: equal(&self.source, |mine| mine.source)?,
            same_architecture: equal(&self.architecture, |mine| mine.architecture)?,
            same_training: equal(&self.training, |mine| mine.training)?,
            similarity_ppm: sketch_similarity_ppm(
                &sketch_from(&self.source_sketch)?,
                &facts.source_sketch,
            ),
        };
        Ok(ResemblingSubmission {
            sequence: self.sequence,
            neighbour,
            architecture_similarity_ppm: sketch_similarity_ppm(
                &sketch_from(&self.architecture_sketch)?,
                &facts.architecture_sketch,
            ),
        })
    }
}

async fn equal_fingerprints(
    connection: &mut Connection,
    sequence: i64,
    facts: &SourceFacts,
) -> Result<Vec<i64>, StoreError> {
    let Some(fingerprints) = &facts.fingerprints else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for (column, digest) in
        [("source", fingerprints.source), ("architecture", fingerprints.architecture)]
    {
        let mut query = QueryBuilder::<Engine>::new(
            "SELECT fingerprints.sequence FROM fingerprints \
             JOIN submissions ON submissions.sequence = fingerprints.sequence WHERE fingerprints.",
        );
        query.push(column).push(" = ").push_bind(digest.to_string());
        query.push(" AND fingerprints.sequence < ").push_bind(sequence);
        query
            .push(ELIGIBLE)
            .push("ORDER BY fingerprints.sequence LIMIT ")
            .push_bind(CANDIDATES_MAX);
        found.extend(query.build_query_scalar::<i64>().fetch_all(&mut *connection).await?);
    }
    Ok(found)
}

/// Those that share the most bands, of equal ones the earliest. A band that very many share, as boilerplate makes them,
/// tells little: of each only the earliest are looked at, so that time is bounded however many copies there are, and no
/// later flood can push an original out.
async fn shared_bands(
    connection: &mut Connection,
    sequence: i64,
    facts: &SourceFacts,
) -> Result<Vec<i64>, StoreError> {
    let mut shared: BTreeMap<i64, usize> = BTreeMap::new();
    for band in all_bands(&facts.source_sketch, &facts.architecture_sketch) {
        let earliest: Vec<i64> = sqlx::query_scalar(
            "SELECT sequence FROM submission_bands WHERE band = $1 AND sequence < $2 \
             ORDER BY sequence LIMIT $3",
        )
        .bind(band)
        .bind(sequence)
        .bind(BAND_CANDIDATES_MAX)
        .fetch_all(&mut *connection)
        .await?;
        for earlier in earliest {
            *shared.entry(earlier).or_default() += 1;
        }
    }
    let mut ranked: Vec<(i64, usize)> = shared.into_iter().collect();
    ranked.sort_by_key(|(earlier, bands)| (std::cmp::Reverse(*bands), *earlier));
    ranked.truncate(RANKED_MAX);
    Ok(ranked.into_iter().map(|(earlier, _)| earlier).collect())
}

async fn indexed(
    connection: &mut Connection,
    sequences: &[i64],
    hotkey: &Hotkey,
) -> Result<Vec<IndexedRow>, StoreError> {
    if sequences.is_empty() {
        return Ok(Vec::new());
    }
    let mut query = QueryBuilder::<Engine>::new(
        "SELECT fingerprints.sequence, submissions.id, submissions.status, submissions.hotkey, source, architecture, training, \
         source_sketch, architecture_sketch FROM fingerprints \
         JOIN submissions ON submissions.sequence = fingerprints.sequence WHERE fingerprints.sequence IN ",
    );
    push_list(&mut query, sequences);
    query.push(ELIGIBLE).push("AND (submissions.hotkey <> ").push_bind(hotkey.as_str());
    query.push(HAS_PASSED);
    Ok(query.build_query_as::<IndexedRow>().fetch_all(connection).await?)
}

/// Pushes `($1, $2, ...)`.
pub(crate) fn push_list(query: &mut QueryBuilder<Engine>, values: &[i64]) {
    query.push("(");
    let mut list = query.separated(", ");
    for value in values {
        list.push_bind(*value);
    }
    query.push(")");
}

/// The bands of a sketch: a 64-bit digest of each run of values, its place and its kind.
pub(crate) fn bands(kind: SketchKind, sketch: &[u32]) -> Vec<i64> {
    let mut found: Vec<i64> = sketch
        .chunks_exact(BAND_VALUES)
        .enumerate()
        .map(|(place, values)| {
            let mut bytes = vec![match kind {
                SketchKind::Source => b's',
                SketchKind::Architecture => b'a',
            }];
            bytes.extend_from_slice(&place.to_le_bytes());
            bytes.extend_from_slice(&sketch_bytes(values));
            let digest = Digest::of(&bytes);
            let (head, _rest) = digest.as_bytes().split_first_chunk().unwrap_or((&[0; 8], &[]));
            i64::from_le_bytes(*head)
        })
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// The bands that an architecture is looked up by among the families.
pub fn architecture_bands(sketch: &[u32]) -> Vec<i64> {
    bands(SketchKind::Architecture, sketch)
}

fn all_bands(source_sketch: &[u32], architecture_sketch: &[u32]) -> Vec<i64> {
    let mut all = bands(SketchKind::Source, source_sketch);
    all.extend(bands(SketchKind::Architecture, architecture_sketch));
    all
}

/// Puts a submission into the index; doing it again replaces what is there.
pub(crate) async fn index_project(
    connection: &mut Connection,
    sequence: i64,
    facts: &SourceFacts,
) -> Result<(), StoreError> {
    let Some(fingerprints) = &facts.fingerprints else { return Ok(()) };
    forget(connection, sequence).await?;
    sqlx::query(
        "INSERT INTO fingerprints (sequence, source, architecture, training, source_sketch, \
         architecture_sketch) VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(sequence)
    .bind(fingerprints.source.to_string())
    .bind(fingerprints.architecture.to_string())
    .bind(fingerprints.training.to_string())
    .bind(sketch_bytes(&facts.source_sketch))
    .bind(sketch_bytes(&facts.architecture_sketch))
    .execute(&mut *connection)
    .await?;
    let all = all_bands(&facts.source_sketch, &facts.architecture_sketch);
    if all.is_empty() {
        return Ok(());
    }
    let mut query = QueryBuilder::<Engine>::new("INSERT INTO submission_bands (band, sequence) ");
    query.push_values(all, |mut row, band| {
        row.push_bind(band).push_bind(sequence);
    });
    query.push(" ON CONFLICT (band, sequence) DO NOTHING").build().execute(connection).await?;
    Ok(())
}

/// Takes a submission out of the index, if it is there.
async fn forget(connection: &mut Connection, sequence: i64) -> Result<(), StoreError> {
    let sketches: Option<(Vec<u8>, Vec<u8>)> = sqlx::query_as(
        "DELETE FROM fingerprints WHERE sequence = $1 RETURNING source_sketch, architecture_sketch",
    )
    .bind(sequence)
    .fetch_optional(&mut *connection)
    .await?;
    let Some((source, architecture)) = sketches else { return Ok(()) };
    let all = all_bands(&sketch_from(&source)?, &sketch_from(&architecture)?);
    if all.is_empty() {
        return Ok(());
    }
    let mut query = QueryBuilder::<Engine>::new("DELETE FROM submission_bands WHERE sequence = ");
    query.push_bind(sequence).push(" AND band IN ");
    push_list(&mut query, &all);
    query.build().execute(connection).await?;
    Ok(())
}
