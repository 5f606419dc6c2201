//! What operators do to policies: components come in, sets are composed, one is in force. The set in force
//! is a row of the database; every process that shares it follows within a second.

mod backtests;
mod components;
mod ends;
mod compiler;
mod error;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use prism_domain::ids::Digest;
use prism_domain::lifecycle::{SetEvent, SetState};
use prism_domain::policy::{PolicySet as _, Slot};
use prism_domain::time::Clock as _;
use prism_policy::{Catalog, Change, LoadedSet, SetManifest, canonical_json};
use prism_store::{Act, Activation, NewActivation, Store};
use tokio_util::sync::CancellationToken;

use crate::clock::SystemClock;
use crate::config::ComponentTerms;
use compiler::Compiler;
pub(crate) use compiler::compile_here;
pub(crate) use components::Brought;
use ends::usable;
pub(crate) use error::AdministrationError;

/// How often a process looks which set is in force, milliseconds.
const FOLLOW_MS: u64 = 500;
/// Who acts where no person does.
const HOUSE: &str = "prism";

type Outcome<T> = Result<T, AdministrationError>;

/// Shared by all requests; cloning is cheap.
#[derive(Clone)]
pub(crate) struct Administration {
    store: Store,
    catalog: Arc<Catalog>,
    compiler: Arc<Compiler>,
    terms: Arc<ComponentTerms>,
}

/// Somebody who is known by a token, and their reason.
#[derive(Debug, Clone)]
pub(crate) struct Reason {
    /// Who.
    pub actor: String,
    /// Why.
    pub text: String,
}

impl Reason {
    fn act(&self) -> Act {
        Act { actor: self.actor.clone(), reason: self.text.clone(), at: SystemClock.now() }
    }
}

/// A set with the state in which it is.
#[derive(Debug, Clone)]
pub(crate) struct KnownSet {
    /// Its digest.
    pub digest: Digest,
    /// Components, settings, limits.
    pub manifest: SetManifest,
    /// Where it stands.
    pub state: SetState,
}

impl Administration {
    pub(crate) fn new(
        store: Store,
        catalog: Arc<Catalog>,
        code_cache: &Path,
        terms: ComponentTerms,
    ) -> Self {
        let compiler = Arc::new(Compiler::new(code_cache, terms.compile));
        Self { store, catalog, compiler, terms: Arc::new(terms) }
    }

    /// At the start of a server: the set that was activated last is loaded. Where none ever was, or where the
    /// last one was an earlier build's default, this build's default is activated.
    pub(crate) async fn take_up(&self) -> Outcome<()> {
        let embedded = self.catalog.loaded();
        let digest = embedded.digest();
        self.keep(&embedded).await?;
        let active = self.store.active().await?;
        if active.is_some_and(|active| !active.embedded || active.policy_set == digest) {
            return self.adopt().await.map(|_moved| ());
        }
        let text = "the default of this build".to_owned();
        let act = Reason { actor: HOUSE.to_owned(), text }.act();
        if self.store.set_state(digest).await?.is_none() {
            self.store.apply_set_event(digest, SetEvent::Checked, act.clone()).await?;
        }
        let new = NewActivation {
            expected: active.map(|active| active.policy_set),
            embedded: true,
            without_backtest: Some("a default is tried before it is built in".to_owned()),
            act,
        };
        match self.store.activate(digest, new).await {
            // Another process of the same build was faster, or an operator was.
            Err(prism_store::StoreError::Moved(_)) => self.adopt().await.map(|_moved| ()),
            outcome => outcome.map(|_activation| ()).map_err(Into::into),
        }
    }

    /// Loads the set in force where it is another than the one that is loaded; answers whether it was.
    pub(crate) async fn adopt(&self) -> Outcome<bool> {
        let Some(active) = self.store.active().await? else { return Ok(false) };
        if active.policy_set == self.catalog.loaded().digest() {
            return Ok(false);
        }
        let set = self.loaded(active.policy_set).await?;
        self.catalog.activate(set);
        tracing::info!(policy_set = %active.policy_set, "another policy set is in force");
        Ok(true)
    }

    /// Follows the set in force until `stop`. `moved` is called after each change.
    pub(crate) async fn follow(&self, stop: CancellationToken, moved: impl Fn()) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(Duration::from_millis(FOLLOW_MS)) => {}
            }
            match self.guarded().await {
                Ok(true) => moved(),
                Ok(false) => {}
                Err(error) => {
                    tracing::error!(code = error.code(), %error, "the policy set in force cannot be loaded; the one before decides on");
                }
            }
        }
    }

    /// Composes a set: `changes` on top of `base`, or of the set in force.
    pub(crate) async fn compose(
        &self,
        base: Option<Digest>,
        changes: BTreeMap<Slot, Change>,
        reason: &Reason,
    ) -> Outcome<KnownSet> {
        let base = match base {
            Some(digest) => self.known(digest).await?.manifest,
            None => self.catalog.loaded().manifest().clone(),
        };
        self.brought_in(&base, &changes).await?;
        let new_ones = changes.values().filter_map(|change| change.component);
        let needed = base.0.values().map(|r| r.component).chain(new_ones).collect();
        let bytes = self.store.blobs(needed).await?;
        let catalog = Arc::clone(&self.catalog);
        let set = blocking(move || {
            catalog.compose(&base, &changes, |digest| bytes.get(&digest).cloned())
        })
        .await??;
        self.keep(&set).await?;
        let digest = set.digest();
        match self.store.set_state(digest).await? {
            None => {
                self.store.apply_set_event(digest, SetEvent::Checked, reason.act()).await?;
            }
            Some(SetState::Revoked) => {
                self.catalog.forget(digest);
                return Err(AdministrationError::Revoked(digest));
            }
            Some(_known) => {}
        }
        self.known(digest).await
    }

    /// Puts a set in force. It is loaded before, so that nothing can go wrong after; a set without a backtest
    /// needs a reason for that. With `expected` only when that set is in force.
    pub(crate) async fn activate(
        &self,
        digest: Digest,
        expected: Option<Digest>,
        without_backtest: Option<String>,
        reason: &Reason,
    ) -> Outcome<Activation> {
        let known = self.known(digest).await?;
        usable(digest, known.state)?;
        let evident =
            self.store.was_backtested(digest).await? || self.store.was_in_force(digest).await?;
        if !evident && without_backtest.is_none() {
            return Err(AdministrationError::NoBacktest(digest));
        }
        let set = self.load(known).await?;
        let without_backtest = without_backtest.filter(|_| !evident);
        let new = NewActivation { expected, embedded: false, without_backtest, act: reason.act() };
        let activation = self.store.activate(digest, new).await?;
        self.catalog.activate(set);
        Ok(activation)
    }

    /// Lets a set run beside the one in force from now on. It is loaded before, so that it can answer.
    pub(crate) async fn shadow(&self, digest: Digest, reason: &Reason) -> Outcome<SetState> {
        self.loaded(digest).await?;
        Ok(self.store.start_shadow(digest, reason.act()).await?)
    }

    /// Puts the set that was in force before the present one back in force.
    pub(crate) async fn roll_back(&self, reason: &Reason) -> Outcome<Activation> {
        let active = self.store.active().await?.ok_or(AdministrationError::NothingBefore)?;
        let before = active.replaced.ok_or(AdministrationError::NothingBefore)?;
        self.activate(before, Some(active.policy_set), None, reason).await
    }

    /// A stored set and its state.
    pub(crate) async fn known(&self, digest: Digest) -> Outcome<KnownSet> {
        let stored = self.store.policy_set(digest).await?;
        let stored = stored.ok_or(AdministrationError::UnknownSet(digest))?;
        let manifest = serde_json::from_str(&stored.canonical)
            .map_err(|_not_a_manifest| AdministrationError::UnknownSet(digest))?;
        let state = self.store.set_state(digest).await?.unwrap_or(SetState::Uploaded);
        Ok(KnownSet { digest, manifest, state })
    }

    /// A stored set, ready to decide.
    async fn loaded(&self, digest: Digest) -> Outcome<Arc<LoadedSet>> {
        if self.store.set_state(digest).await? == Some(SetState::Revoked) {
            self.catalog.forget(digest);
            return Err(AdministrationError::Revoked(digest));
        }
        if let Some(set) = self.catalog.at_once(digest) {
            return Ok(set);
        }
        let known = self.known(digest).await?;
        self.load(known).await
    }

    async fn load(&self, known: KnownSet) -> Outcome<Arc<LoadedSet>> {
        if known.state == SetState::Revoked {
            return Err(AdministrationError::Revoked(known.digest));
        }
        if let Some(set) = self.catalog.at_once(known.digest) {
            return Ok(set);
        }
        let needed = known.manifest.0.values().map(|r| r.component).collect();
        let bytes = self.store.blobs(needed).await?;
        let catalog = Arc::clone(&self.catalog);
        let set =
            blocking(move || catalog.load(&known.manifest, |digest| bytes.get(&digest).cloned()))
                .await??;
        Ok(set)
    }

    /// Stores a set; the bytes of the embedded components with it, so that it can be loaded by any build.
    async fn keep(&self, set: &LoadedSet) -> Outcome<()> {
        let digest = set.digest();
        if self.store.policy_set(digest).await?.is_some() {
            return Ok(());
        }
        let mut components = BTreeMap::new();
        for (slot, revision) in &set.manifest().0 {
            let embedded = prism_policy::default_component(*slot);
            if Digest::of(embedded) == revision.component {
                self.store.put_component(embedded.to_vec()).await?;
            }
            components.insert(*slot, revision.component);
        }
        let manifest = serde_json::to_value(set.manifest()).unwrap_or_default();
        let canonical = canonical_json(&manifest);
        self.store.put_policy_set(digest, canonical, components, SystemClock.now()).await?;
        Ok(())
    }
}

/// Runs what compiles or calls components where it may block.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Outcome<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_panicked| AdministrationError::Internal("a policy could not be loaded"))
}
