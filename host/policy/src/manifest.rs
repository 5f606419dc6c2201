//! What a policy set is made of, as data: enough to load it again and to name it by one digest.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use prism_domain::ids::Digest;
use prism_domain::policy::Slot;

use crate::limits::Limits;
use crate::settings::canonical_json;

/// One component in one slot, with everything that can change its answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revision {
    /// SHA-256 of the component, as uploaded or embedded; never of compiled code.
    pub component: Digest,
    /// Its settings, a JSON object.
    pub settings: Value,
    /// What a call may use.
    pub limits: Limits,
    /// Name of the determinism profile, see [`crate::PROFILE`].
    pub profile: String,
}

/// One revision for each slot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SetManifest(pub BTreeMap<Slot, Revision>);

impl SetManifest {
    /// SHA-256 of the canonical JSON: the name of the set.
    pub fn digest(&self) -> Digest {
        let value = serde_json::to_value(self).unwrap_or(Value::Null);
        Digest::of(canonical_json(&value).as_bytes())
    }
}
