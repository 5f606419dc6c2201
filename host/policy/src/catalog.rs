//! Where sets come from: the embedded default, or stored components named by a manifest; and which one
//! is in force. A change of the set in force is one pointer: calls under way finish on what they began
//! with.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::thread;

use arc_swap::ArcSwap;
use serde_json::Value;

use prism_domain::ids::Digest;
use prism_domain::policy::{FaultClass, Policies, PolicyFault, PolicySet, Slot};

use crate::bound::{BindError, Bound, Export};
use crate::embedded::{default_component, python_reader};
use crate::engine::PROFILE;
use crate::fault::fault;
use crate::limits::Limits;
use crate::manifest::SetManifest;
use crate::policy_set::{LoadedSet, SetError};
use crate::reader::PythonReader;
use crate::sandbox::{LoadError, Prepared, Sandbox};

/// Sets that stay loaded besides the one in force, so that going back is a change of a pointer.
const SETS_KEPT: usize = 8;

/// A stored manifest is not one.
const POLICY_MANIFEST: &str = "policy-manifest";

/// Settings that replace a component's own defaults, by slot.
pub type SettingsBySlot = BTreeMap<Slot, Value>;

/// The policies and the reader of one process cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// A component of the set.
    #[error(transparent)]
    Set(#[from] SetError),
    /// The Python reader.
    #[error("python reader: {0}")]
    Reader(#[from] LoadError),
}

impl CatalogError {
    /// Stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Set(error) => error.code(),
            Self::Reader(error) => error.code(),
        }
    }
}

/// The set in force and those that were.
pub struct Catalog {
    sandbox: Arc<Sandbox>,
    current: ArcSwap<LoadedSet>,
    kept: RwLock<Vec<Arc<LoadedSet>>>,
}

impl Catalog {
    /// Loads the embedded set and the Python reader, all six components at once.
    pub fn embedded(
        sandbox: &Arc<Sandbox>,
        settings: &SettingsBySlot,
    ) -> Result<(Self, PythonReader), CatalogError> {
        let (set, reader) = thread::scope(|scope| {
            let reader = scope.spawn(|| sandbox.prepare(python_reader()));
            let set = load_set(sandbox, |slot| {
                let prepared = sandbox.prepare(default_component(slot))?;
                Ok((prepared, settings.get(&slot).cloned(), Limits::of(slot)))
            });
            (set, joined(reader))
        });
        let reader = PythonReader::new(Arc::clone(sandbox), reader?)?;
        let catalog = Self {
            sandbox: Arc::clone(sandbox),
            current: ArcSwap::from_pointee(set?),
            kept: RwLock::new(Vec::new()),
        };
        Ok((catalog, reader))
    }

    /// Loads the set that `manifest` names. `bytes_of` finds stored components by digest; the embedded
    /// ones need not be stored. Everything that comes from outside is checked before it is compiled.
    pub fn load(
        &self,
        manifest: &SetManifest,
        bytes_of: impl Fn(Digest) -> Option<Vec<u8>> + Sync,
    ) -> Result<Arc<LoadedSet>, SetError> {
        self.load_filled(bytes_of, |slot| {
            let revision = manifest.0.get(&slot).ok_or(BindError::Missing)?;
            if revision.profile != PROFILE {
                return Err(BindError::Profile(revision.profile.clone()));
            }
            Ok((revision.component, Some(revision.settings.clone()), revision.limits))
        })
    }

    /// Loads the set whose slots are filled so: with a component, settings (none takes those that it comes
    /// with) and limits.
    pub(crate) fn load_filled(
        &self,
        bytes_of: impl Fn(Digest) -> Option<Vec<u8>> + Sync,
        filled: impl Fn(Slot) -> Result<(Digest, Option<Value>, Limits), BindError> + Sync,
    ) -> Result<Arc<LoadedSet>, SetError> {
        let set = load_set(&self.sandbox, |slot| {
            let (component, settings, limits) = filled(slot)?;
            let prepared = match self.at_hand(slot, component) {
                Some(prepared) => prepared,
                None => self.prepare_stored(slot, component, &bytes_of)?,
            };
            Ok((prepared, settings, limits))
        })?;
        let set = Arc::new(set);
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|known| known.digest() != set.digest());
        kept.push(Arc::clone(&set));
        let surplus = kept.len().saturating_sub(SETS_KEPT);
        kept.drain(..surplus);
        Ok(set)
    }

    /// The engine that everything here runs in.
    pub(crate) fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    /// The component as another loaded set holds it: compiled code is shared between sets.
    fn at_hand(&self, slot: Slot, component: Digest) -> Option<Prepared> {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        let current = self.loaded();
        std::iter::once(&current)
            .chain(kept.iter())
            .map(|set| set.prepared(slot))
            .find(|prepared| prepared.digest == component)
    }

    fn prepare_stored(
        &self,
        slot: Slot,
        component: Digest,
        bytes_of: &(impl Fn(Digest) -> Option<Vec<u8>> + Sync),
    ) -> Result<Prepared, BindError> {
        let embedded = default_component(slot);
        if Digest::of(embedded) == component {
            return Ok(self.sandbox.prepare(embedded)?);
        }
        let bytes = bytes_of(component)
            .filter(|bytes| Digest::of(bytes) == component)
            .ok_or(BindError::Missing)?;
        self.sandbox.check(slot.into(), &bytes).map_err(LoadError::Refused)?;
        Ok(self.sandbox.prepare(&bytes)?)
    }

    /// Puts a loaded set in force and gives back the one before, which stays loaded.
    pub fn activate(&self, set: Arc<LoadedSet>) -> Arc<LoadedSet> {
        let before = self.current.swap(set);
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        if !kept.iter().any(|known| known.digest() == before.digest()) {
            kept.push(Arc::clone(&before));
        }
        before
    }

    /// The set of that digest, if it is loaded: the one in force, or one beside it.
    pub fn at_once(&self, digest: Digest) -> Option<Arc<LoadedSet>> {
        let current = self.loaded();
        if current.digest() == digest {
            return Some(current);
        }
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        kept.iter().find(|set| set.digest() == digest).cloned()
    }

    /// Keeps the set of that digest loaded no longer, unless it is in force.
    pub fn forget(&self, digest: Digest) {
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|set| set.digest() != digest);
    }

    /// The set in force, with all that this crate knows of it.
    pub fn loaded(&self) -> Arc<LoadedSet> {
        self.current.load_full()
    }
}

impl Policies for Catalog {
    fn current(&self) -> Arc<dyn PolicySet> {
        self.loaded()
    }

    fn find(&self, digest: Digest) -> Option<Arc<dyn PolicySet>> {
        self.at_once(digest).map(|set| set as Arc<dyn PolicySet>)
    }

    fn restore(
        &self,
        canonical: &str,
        components: &BTreeMap<Digest, Vec<u8>>,
    ) -> Result<Arc<dyn PolicySet>, PolicyFault> {
        let manifest: SetManifest = serde_json::from_str(canonical)
            .map_err(|error| fault(FaultClass::HostGuard, POLICY_MANIFEST, error.to_string()))?;
        let set = self
            .load(&manifest, |digest| components.get(&digest).cloned())
            .map_err(|error| fault(FaultClass::HostGuard, error.code(), error.to_string()))?;
        Ok(set)
    }
}

/// What one slot is filled with.
type Filling = (Prepared, Option<Value>, Limits);

fn load_set(
    sandbox: &Arc<Sandbox>,
    filling: impl Fn(Slot) -> Result<Filling, BindError> + Sync,
) -> Result<LoadedSet, SetError> {
    thread::scope(|scope| {
        let review = scope.spawn(|| bind(Slot::Review, &filling));
        let scaling = scope.spawn(|| bind(Slot::Scaling, &filling));
        let thresholds = scope.spawn(|| bind(Slot::Thresholds, &filling));
        let attribution = scope.spawn(|| bind(Slot::Attribution, &filling));
        let rewards = scope.spawn(|| bind(Slot::Rewards, &filling));
        Ok(LoadedSet::new(
            Arc::clone(sandbox),
            joined(review)?,
            joined(scaling)?,
            joined(thresholds)?,
            (joined(attribution)?, joined(rewards)?),
        ))
    })
}

fn bind<E: Export>(
    slot: Slot,
    filling: &(impl Fn(Slot) -> Result<Filling, BindError> + Sync),
) -> Result<Bound<E>, SetError> {
    filling(slot)
        .and_then(|(prepared, settings, limits)| Bound::new(slot, prepared, settings, limits))
        .map_err(|source| SetError { slot, source })
}

/// A panic of a loading thread goes on in the thread that waits for it.
fn joined<T>(thread: thread::ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
