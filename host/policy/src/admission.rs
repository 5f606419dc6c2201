//! Admission: a component from outside is looked at, bound and tried before it may fill a slot.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use prism_domain::ids::Digest;
use prism_domain::policy::Slot;

use crate::bound::{BindError, PolicyInfo};
use crate::catalog::Catalog;
use crate::inspect::{Refusal, Wit};
use crate::limits::Limits;
use crate::manifest::SetManifest;
use crate::policy_set::{LoadedSet, SetError};
use crate::sandbox::LoadError;

/// Slot, name and text of the questions that every component of a slot must bear.
const CASES: &[(&str, &str, &str)] = include!(concat!(env!("OUT_DIR"), "/conformance.rs"));

/// A component that may fill a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admitted {
    /// SHA-256 of its bytes.
    pub digest: Digest,
    /// The slot that it fits.
    pub slot: Slot,
    /// Who it is.
    pub info: PolicyInfo,
    /// The settings that it comes with, as canonical JSON.
    pub default_settings: String,
    /// How many questions it was asked, twice each.
    pub cases: usize,
}

/// A component may not fill a slot.
#[derive(Debug, thiserror::Error)]
pub enum AdmissionError {
    /// It fits no slot.
    #[error("it fits no slot: {}", told(.0))]
    NoSlot(Vec<(Slot, Refusal)>),
    /// It cannot be bound to its slot.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// It was asked a question of its slot and failed, or answered twice differently.
    #[error("case `{case}` of the slot: {why}")]
    Conformance {
        /// Name of the case.
        case: String,
        /// What went wrong.
        why: String,
    },
}

impl AdmissionError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoSlot(_) => "component-wrong-world",
            Self::Bind(error) => error.code(),
            Self::Conformance { .. } => "component-conformance",
        }
    }
}

fn told(refusals: &[(Slot, Refusal)]) -> String {
    let parts = refusals.iter().map(|(slot, why)| format!("{}: {why}", slot.as_str()));
    parts.collect::<Vec<_>>().join("; ")
}

/// What fills a slot in place of what is there.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The component; none leaves the one that is there.
    pub component: Option<Digest>,
    /// Its settings; none takes those that a new component comes with, and leaves those of an old one.
    pub settings: Option<Value>,
    /// What a call may use; none leaves what is there.
    pub limits: Option<Limits>,
}

impl Catalog {
    /// Looks at a component, binds it with the settings that it comes with, and puts the cases of its slot to
    /// it, twice each. With `slot` it must fit that one, else the first that it fits is taken.
    pub fn admit(&self, slot: Option<Slot>, wasm: &[u8]) -> Result<Admitted, AdmissionError> {
        let (slot, changed) = self.fill(slot, wasm)?;
        let cases = conform(&changed, slot)?;
        let settings = changed.manifest().0.get(&slot).map(|revision| &revision.settings);
        Ok(Admitted {
            digest: Digest::of(wasm),
            slot,
            info: changed.info(slot).clone(),
            default_settings: settings.map(crate::settings::canonical_json).unwrap_or_default(),
            cases,
        })
    }

    /// Binds a component to its slot, with the settings that it comes with, beside the other four of the set
    /// in force; nothing is put in force. With `slot` it must fit that one, else the first that it fits is taken.
    pub fn fill(
        &self,
        slot: Option<Slot>,
        wasm: &[u8],
    ) -> Result<(Slot, Arc<LoadedSet>), AdmissionError> {
        let slot = self.fitting(slot, wasm)?;
        let digest = Digest::of(wasm);
        let change = Change { component: Some(digest), settings: None, limits: None };
        let base = self.loaded();
        let changed = self
            .compose(base.manifest(), &BTreeMap::from([(slot, change)]), |wanted| {
                (wanted == digest).then(|| wasm.to_vec())
            })
            .map_err(|error| error.source)?;
        let info = changed.info(slot);
        if !info.has_semantic_version() {
            let why = format!("the version `{}` is not semantic (1.2.3)", info.version);
            return Err(BindError::Description(why).into());
        }
        Ok((slot, changed))
    }

    /// Only looks: size, imports and shape. Nothing is compiled.
    pub fn look(&self, slot: Option<Slot>, wasm: &[u8]) -> Result<Slot, AdmissionError> {
        self.fitting(slot, wasm)
    }

    fn fitting(&self, slot: Option<Slot>, wasm: &[u8]) -> Result<Slot, AdmissionError> {
        first_fitting(slot, |slot| self.sandbox().check(slot.into(), wasm))
    }

    /// Loads the set that differs from `base` by `changes`. `bytes_of` finds stored components by digest.
    pub fn compose(
        &self,
        base: &SetManifest,
        changes: &BTreeMap<Slot, Change>,
        bytes_of: impl Fn(Digest) -> Option<Vec<u8>> + Sync,
    ) -> Result<Arc<LoadedSet>, SetError> {
        self.load_filled(bytes_of, |slot| {
            let old = base.0.get(&slot).ok_or(BindError::Missing)?;
            let Some(change) = changes.get(&slot) else {
                return Ok((old.component, Some(old.settings.clone()), old.limits));
            };
            let component = change.component.unwrap_or(old.component);
            let kept = (component == old.component).then(|| old.settings.clone());
            let settings = change.settings.clone().or(kept);
            Ok((component, settings, change.limits.unwrap_or(old.limits)))
        })
    }
}

/// The slot that a component fits: `slot` if one is named, else the first. Nothing is compiled or run.
pub fn fitting_slot(slot: Option<Slot>, wasm: &[u8]) -> Result<Slot, AdmissionError> {
    let wit = Wit::embedded().map_err(|broken| BindError::from(LoadError::Refused(broken)))?;
    first_fitting(slot, |slot| wit.check(slot.into(), wasm))
}

fn first_fitting(
    slot: Option<Slot>,
    check: impl Fn(Slot) -> Result<(), Refusal>,
) -> Result<Slot, AdmissionError> {
    let mut refusals = Vec::new();
    for tried in slot.map_or_else(|| Slot::ALL.to_vec(), |slot| vec![slot]) {
        match check(tried) {
            Ok(()) => return Ok(tried),
            Err(Refusal::WrongWorld { world, why }) => {
                refusals.push((tried, Refusal::WrongWorld { world, why }));
            }
            // What is no component, or reaches out, is none in every slot.
            Err(refusal) => return Err(BindError::from(LoadError::Refused(refusal)).into()),
        }
    }
    Err(AdmissionError::NoSlot(refusals))
}

/// The interfaces of a component as WIT text, read from its bytes. Nothing is compiled or run.
pub fn wit_text(component: &[u8]) -> Result<String, Refusal> {
    let malformed = |why: String| Refusal::NotAComponent(why);
    let decoded = wit_component::decode(component).map_err(|why| malformed(format!("{why:#}")))?;
    let (resolve, main) = (decoded.resolve(), decoded.package());
    let others: Vec<_> =
        resolve.packages.iter().map(|(id, _)| id).filter(|id| *id != main).collect();
    let mut printer = wit_component::WitPrinter::default();
    printer.print(resolve, main, &others).map_err(|why| malformed(format!("{why:#}")))?;
    Ok(printer.output.to_string())
}

/// Puts the cases of the slot to its component, twice each; answers how many. A typed refusal is an answer.
fn conform(set: &LoadedSet, slot: Slot) -> Result<usize, AdmissionError> {
    let settings = set.manifest().0.get(&slot).map(|revision| revision.settings.clone());
    let settings = settings.unwrap_or(Value::Null);
    let mut count = 0;
    for (_, name, text) in CASES.iter().filter(|(of, _, _)| *of == slot.as_str()) {
        let failed = |why: String| AdmissionError::Conformance { case: (*name).to_owned(), why };
        let mut case: Value =
            serde_json::from_str(text).map_err(|error| failed(format!("not a case: {error}")))?;
        if let Some(member) = case.get_mut("settings") {
            member.clone_from(&settings);
        }
        let case = case.to_string();
        let ask = || set.run_case(slot, &case).map_err(|error| failed(error.to_string()));
        let (first, second) = (ask()?, ask()?);
        if first.answer != second.answer || first.fuel_used != second.fuel_used {
            return Err(failed("asked twice, it answered differently".to_owned()));
        }
        count += 1;
    }
    Ok(count)
}
