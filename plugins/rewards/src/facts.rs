//! Whether the ledger makes sense. One wrong row refuses the whole computation: the host then keeps
//! the last good vector, which harms nobody, while a guess could pay the wrong miner.

use crate::bindings::exports::prism::rewards::rewards::Ledger;
use crate::bindings::prism::types::types::PolicyError;
use std::cmp::Ordering;

/// One whole.
const PPM: u32 = 1_000_000;
/// Longest identifier or hotkey, bytes.
const MAX_ID_BYTES: usize = 128;
/// Most rows of one kind; with it no sum can overflow.
const MAX_ROWS: usize = 100_000;

/// Checks every row of the ledger.
pub(crate) fn check(ledger: &Ledger) -> Result<(), PolicyError> {
    let mut rows = Rows::new("family", ledger.families.len())?;
    for row in &ledger.families {
        rows.row(&row.family_id, &row.hotkey, "q-arch-best", row.q_arch_best_ppm)?;
    }
    let mut rows = Rows::new("variant", ledger.variants.len())?;
    let mut with_best = vec![false; ledger.families.len()];
    for row in &ledger.variants {
        rows.row(&row.variant_id, &row.hotkey, "q-recipe", row.q_recipe_ppm)?;
        let Some(has_best) = with_best.get_mut(row.family as usize) else {
            let (variant, family) = (&row.variant_id, row.family);
            return invalid(format!("variant `{variant}` is of the unknown family {family}"));
        };
        if std::mem::replace(has_best, true) {
            return invalid(format!("family {} has two current best variants", row.family));
        }
    }
    let mut rows = Rows::new("submission", ledger.scores.len())?;
    for row in &ledger.scores {
        rows.row(&row.submission_id, &row.hotkey, "final-score", row.final_score_ppm)?;
    }
    Ok(())
}

/// The rows of one kind, as they are checked one after the other.
struct Rows<'a> {
    kind: &'static str,
    last: &'a str,
}

impl<'a> Rows<'a> {
    fn new(kind: &'static str, count: usize) -> Result<Self, PolicyError> {
        if count > MAX_ROWS {
            return invalid(format!("more than {MAX_ROWS} rows of kind {kind}"));
        }
        Ok(Self { kind, last: "" })
    }

    fn row(&mut self, id: &'a str, hotkey: &str, what: &str, ppm: u32) -> Result<(), PolicyError> {
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
        match self.last.cmp(id) {
            Ordering::Less => self.last = id,
            Ordering::Equal => return invalid(format!("{kind} `{id}` is listed twice")),
            Ordering::Greater => {
                return invalid(format!("{kind} `{id}` follows `{}`, out of order", self.last));
            }
        }
        Ok(())
    }
}

fn invalid<T>(sentence: String) -> Result<T, PolicyError> {
    Err(PolicyError::InvalidFacts(sentence))
}
