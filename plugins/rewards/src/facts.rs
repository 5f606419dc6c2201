//! Whether the ledger makes sense. One wrong row refuses the whole computation: the host then keeps
//! the last good vector, which harms nobody, while a guess could pay the wrong miner.

use crate::bindings::exports::prism::rewards::rewards::Ledger;
use crate::bindings::prism::types::types::PolicyError;
use crate::order::Index;

/// One whole.
const PPM: u32 = 1_000_000;
/// Longest identifier or hotkey, bytes.
const MAX_ID_BYTES: usize = 128;
/// Most rows of one kind; with it no sum can overflow.
const MAX_ROWS: usize = 100_000;

/// Checks every row of the ledger, and finds the place of each variant's family.
pub(crate) fn check(ledger: &Ledger) -> Result<Vec<usize>, PolicyError> {
    let families = Index::new(ledger.families.iter().map(|row| row.family_id.as_str()));
    let rows = Rows::new("family", ledger.families.len(), &families)?;
    for (place, row) in ledger.families.iter().enumerate() {
        rows.row(place, &row.family_id, &row.hotkey, "q-arch-best", row.q_arch_best_ppm)?;
    }
    let variants = Index::new(ledger.variants.iter().map(|row| row.variant_id.as_str()));
    let rows = Rows::new("variant", ledger.variants.len(), &variants)?;
    let mut with_best = vec![false; ledger.families.len()];
    let mut family_of = Vec::with_capacity(ledger.variants.len());
    for (place, row) in ledger.variants.iter().enumerate() {
        rows.row(place, &row.variant_id, &row.hotkey, "q-recipe", row.q_recipe_ppm)?;
        let family = families.place(&row.family_id);
        let Some((family, has_best)) = family.and_then(|at| Some((at, with_best.get_mut(at)?)))
        else {
            return invalid(format!(
                "variant `{}` is of the unknown family `{}`",
                row.variant_id, row.family_id
            ));
        };
        if std::mem::replace(has_best, true) {
            return invalid(format!("family `{}` has two current best variants", row.family_id));
        }
        family_of.push(family);
    }
    let scores = Index::new(ledger.scores.iter().map(|row| row.submission_id.as_str()));
    let rows = Rows::new("submission", ledger.scores.len(), &scores)?;
    for (place, row) in ledger.scores.iter().enumerate() {
        rows.row(place, &row.submission_id, &row.hotkey, "final-score", row.final_score_ppm)?;
    }
    Ok(family_of)
}

/// How the rows of one kind are checked.
struct Rows {
    kind: &'static str,
    repeated: Option<usize>,
}

impl Rows {
    fn new(kind: &'static str, count: usize, ids: &Index<'_>) -> Result<Self, PolicyError> {
        if count > MAX_ROWS {
            return invalid(format!("more than {MAX_ROWS} rows of kind {kind}"));
        }
        Ok(Self { kind, repeated: ids.first_repeated() })
    }

    fn row(
        &self,
        place: usize,
        id: &str,
        hotkey: &str,
        what: &str,
        ppm: u32,
    ) -> Result<(), PolicyError> {
        let kind = self.kind;
        if id.is_empty() || id.len() > MAX_ID_BYTES {
            return invalid(format!(
                "a {kind} identifier has {} bytes, not 1 to {MAX_ID_BYTES}",
                id.len()
            ));
        }
        if hotkey.is_empty() || hotkey.len() > MAX_ID_BYTES {
            return invalid(format!(
                "the hotkey of {kind} `{id}` has {} bytes, not 1 to {MAX_ID_BYTES}",
                hotkey.len()
            ));
        }
        if ppm > PPM {
            return invalid(format!("{what} of {kind} `{id}` is {ppm} ppm, above 1,000,000"));
        }
        if self.repeated == Some(place) {
            return invalid(format!("{kind} `{id}` is listed twice"));
        }
        Ok(())
    }
}

fn invalid<T>(sentence: String) -> Result<T, PolicyError> {
    Err(PolicyError::InvalidFacts(sentence))
}
