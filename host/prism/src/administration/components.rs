//! Components from outside come in: signed, looked at, compiled apart, tried, and not older than what is in force.

use std::collections::BTreeMap;
use std::sync::Arc;

use prism_domain::ids::Digest;
use prism_domain::policy::Slot;
use prism_domain::time::Clock as _;
use prism_intake::{ComponentSignature, VerifiedSignature};
use prism_policy::{Admitted, Change, SetManifest, default_component};
use prism_store::{StoredComponent, StoredSignature};

use super::{Administration, AdministrationError, Outcome, Reason, blocking};
use crate::clock::SystemClock;
use crate::config::Unsigned;

/// A component as somebody brings it.
#[derive(Debug)]
pub(crate) struct Brought {
    /// The slot that it is said to be for.
    pub slot: Option<Slot>,
    /// Its bytes.
    pub wasm: Vec<u8>,
    /// The signature as it was sent.
    pub signature: Option<String>,
}

impl Administration {
    /// Takes a component in. The signature is looked at before the bytes are; then they are looked at, compiled
    /// apart, bound, asked the cases of their slot, held against the version in force, and stored. One that is
    /// stored already is answered as it is; a new signature of it is kept.
    pub(crate) async fn upload(
        &self,
        brought: Brought,
        reason: &Reason,
    ) -> Outcome<(StoredComponent, bool)> {
        let digest = Digest::of(&brought.wasm);
        let signed = self.signed(&brought, digest)?;
        let slot = signed.as_ref().map(|signed| signed.slot).or(brought.slot);
        let signature = signed.map(stored);
        if let Some(known) = self.store.policy_component(digest).await? {
            if let Some(signature) = signature {
                self.store.put_component_signature(digest, signature, reason.act()).await?;
            }
            return Ok((known, false));
        }
        let (wasm, admitted) = self.admitted(slot, brought.wasm).await?;
        self.in_order(&admitted)?;
        let component = StoredComponent {
            digest,
            slot: admitted.slot,
            name: admitted.info.name,
            version: admitted.info.version,
            summary: admitted.info.summary,
            settings_schema: admitted.info.settings_schema,
            default_settings: admitted.default_settings,
            size_bytes: wasm.len() as u64,
            actor: reason.actor.clone(),
            note: reason.text.clone(),
            at: SystemClock.now(),
        };
        let created = self.store.put_policy_component(component.clone(), wasm, signature).await?;
        Ok((component, created))
    }

    /// Whose signature it bears; none only where the settings let unsigned components in. A signature that does
    /// not fit is never let through.
    fn signed(&self, brought: &Brought, digest: Digest) -> Outcome<Option<VerifiedSignature>> {
        let Some(text) = &brought.signature else {
            return match self.terms.unsigned {
                Unsigned::Allow => Ok(None),
                Unsigned::Refuse => Err(AdministrationError::Unsigned(digest)),
            };
        };
        let slots = brought.slot.map_or_else(|| Slot::ALL.to_vec(), |slot| vec![slot]);
        let signature = ComponentSignature::parse(text)?;
        Ok(Some(self.terms.keys.verify(&signature, &slots, digest)?))
    }

    /// Looks, compiles, binds, asks.
    async fn admitted(&self, slot: Option<Slot>, wasm: Vec<u8>) -> Outcome<(Vec<u8>, Admitted)> {
        let wasm = Arc::new(wasm);
        let (catalog, looked_at) = (Arc::clone(&self.catalog), Arc::clone(&wasm));
        blocking(move || catalog.look(slot, &looked_at)).await??;
        self.compiler.compile(&wasm).await?;
        let (catalog, tried) = (Arc::clone(&self.catalog), Arc::clone(&wasm));
        let admitted = blocking(move || catalog.admit(slot, &tried)).await??;
        Ok((Arc::unwrap_or_clone(wasm), admitted))
    }

    /// What is older than the policy of the same name that is in force is not taken: an old component with a
    /// known hole is signed too. Going back to one that is stored is `rollback`.
    fn in_order(&self, admitted: &Admitted) -> Outcome<()> {
        let loaded = self.catalog.loaded();
        let in_force = loaded.info(admitted.slot);
        if !admitted.info.is_older_than(in_force) {
            return Ok(());
        }
        Err(AdministrationError::VersionOrder {
            name: admitted.info.name.clone(),
            given: admitted.info.version.clone(),
            in_force: in_force.version.clone(),
        })
    }

    /// Each component that `changes` bring into `base` is stored, and signed where the settings ask for that.
    pub(super) async fn brought_in(
        &self,
        base: &SetManifest,
        changes: &BTreeMap<Slot, Change>,
    ) -> Outcome<()> {
        for (slot, change) in changes {
            let Some(component) = change.component else { continue };
            let ours = Digest::of(default_component(*slot)) == component
                || base.0.values().any(|revision| revision.component == component);
            if ours {
                continue;
            }
            if self.store.policy_component(component).await?.is_none() {
                return Err(AdministrationError::UnknownComponent(component));
            }
            if self.terms.unsigned == Unsigned::Refuse {
                let pushes = self.store.pushes_of(component).await?;
                if pushes.iter().all(|push| push.signature.is_none()) {
                    return Err(AdministrationError::Unsigned(component));
                }
            }
        }
        Ok(())
    }
}

fn stored(verified: VerifiedSignature) -> StoredSignature {
    let VerifiedSignature { key_name, key, signature, slot: _ } = verified;
    StoredSignature { key_name, key, signature }
}
