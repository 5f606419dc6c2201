//! Five components with their settings: the immutable whole that decides.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use wasmtime::Store;

use prism_domain::attribution::{Attribution, Candidate};
use prism_domain::ids::Digest;
use prism_domain::improvement::{Assessment, Comparison};
use prism_domain::policy::{Decided, PolicyFault, PolicySet, Provenance, Slot};
use prism_domain::review::{ReviewInput, Reviewed};
use prism_domain::rewards::{LedgerView, WeightVector};
use prism_domain::scaling::{Report, ScalingInput};

use crate::bindings::exports::prism as exports;
use crate::bound::{BindError, Bound, PolicyInfo, Reviewer};
use crate::call::{Call, CallState};
use crate::convert;
use crate::manifest::SetManifest;
use crate::sandbox::{Prepared, Sandbox};

pub(crate) type Scaling = exports::scaling::scaling::GuestIndices;
pub(crate) type Thresholds = exports::thresholds::thresholds::GuestIndices;
pub(crate) type Attributor = exports::attribution::attribution::GuestIndices;
pub(crate) type Rewards = exports::rewards::rewards::GuestIndices;

/// A set cannot be loaded; `slot` says because of which component.
#[derive(Debug, thiserror::Error)]
#[error("policy for `{}`: {source}", .slot.as_str())]
pub struct SetError {
    /// The slot concerned.
    pub slot: Slot,
    /// What is wrong there.
    #[source]
    pub source: BindError,
}

impl SetError {
    /// Stable code.
    pub const fn code(&self) -> &'static str {
        self.source.code()
    }
}

/// A policy set that is loaded. Cheap to share; calls block and take a fresh instance each.
pub struct LoadedSet {
    pub(crate) review: Bound<Reviewer>,
    pub(crate) scaling: Bound<Scaling>,
    pub(crate) thresholds: Bound<Thresholds>,
    pub(crate) attribution: Bound<Attributor>,
    pub(crate) rewards: Bound<Rewards>,
    manifest: SetManifest,
    digest: Digest,
    /// Keeps the epoch clock of the engine alive for as long as anything can be called.
    _sandbox: Arc<Sandbox>,
}

impl LoadedSet {
    pub(crate) fn new(
        sandbox: Arc<Sandbox>,
        review: Bound<Reviewer>,
        scaling: Bound<Scaling>,
        thresholds: Bound<Thresholds>,
        (attribution, rewards): (Bound<Attributor>, Bound<Rewards>),
    ) -> Self {
        let manifest = SetManifest(BTreeMap::from([
            (Slot::Review, review.revision.clone()),
            (Slot::Scaling, scaling.revision.clone()),
            (Slot::Thresholds, thresholds.revision.clone()),
            (Slot::Attribution, attribution.revision.clone()),
            (Slot::Rewards, rewards.revision.clone()),
        ]));
        let digest = manifest.digest();
        Self {
            review,
            scaling,
            thresholds,
            attribution,
            rewards,
            manifest,
            digest,
            _sandbox: sandbox,
        }
    }

    /// What the set is made of.
    pub const fn manifest(&self) -> &SetManifest {
        &self.manifest
    }

    /// Who the component of that slot is.
    pub const fn info(&self, slot: Slot) -> &PolicyInfo {
        match slot {
            Slot::Review => &self.review.info,
            Slot::Scaling => &self.scaling.info,
            Slot::Thresholds => &self.thresholds.info,
            Slot::Attribution => &self.attribution.info,
            Slot::Rewards => &self.rewards.info,
        }
    }

    /// The component of that slot, to be bound anew.
    pub(crate) fn prepared(&self, slot: Slot) -> Prepared {
        match slot {
            Slot::Review => self.review.prepared(),
            Slot::Scaling => self.scaling.prepared(),
            Slot::Thresholds => self.thresholds.prepared(),
            Slot::Attribution => self.attribution.prepared(),
            Slot::Rewards => self.rewards.prepared(),
        }
    }

    fn decided<E, Q: Serialize, T>(
        &self,
        bound: &Bound<E>,
        question: &Q,
        call: Call<T>,
    ) -> Decided<T> {
        // The domain's own records always have a JSON form; an empty one would only fail a comparison.
        let question = serde_json::to_vec(question).unwrap_or_default();
        Decided {
            answer: call.answer,
            provenance: Provenance {
                slot: bound.slot,
                policy_set: self.digest,
                component: bound.revision.component,
                input: Digest::of(&question),
                fuel: call.fuel_used,
                duration_us: call.wall_us,
            },
            question,
        }
    }
}

impl PolicySet for LoadedSet {
    fn digest(&self) -> Digest {
        self.digest
    }

    fn looks_closer(&self) -> bool {
        self.review.export().consult.is_some()
    }

    fn review(&self, input: &ReviewInput) -> Result<Decided<Reviewed>, PolicyFault> {
        let question = convert::review::question(input);
        let closer = self.review.export().consult.as_ref().zip(input.context.as_ref());
        let call = match closer {
            Some((consult, known)) => {
                let context = convert::consult::context(known);
                self.review.decide(
                    |store: &mut Store<CallState>, instance, _export, settings| {
                        let guest = consult.load(&mut *store, instance)?;
                        guest.call_consider(store, settings, &question, &context)
                    },
                    |outcome| convert::consult::answer(outcome, known),
                )?
            }
            None => self.review.decide(
                |store: &mut Store<CallState>, instance, export, settings| {
                    export.judge.load(&mut *store, instance)?.call_judge(store, settings, &question)
                },
                convert::review::answer,
            )?,
        };
        Ok(self.decided(&self.review, input, call))
    }

    fn analyse(&self, input: &ScalingInput) -> Result<Decided<Report>, PolicyFault> {
        let question = convert::scaling::question(input);
        let call = self.scaling.decide(
            |store: &mut Store<CallState>, instance, export, settings| {
                export.load(&mut *store, instance)?.call_analyse(store, settings, &question)
            },
            convert::scaling::answer,
        )?;
        Ok(self.decided(&self.scaling, input, call))
    }

    fn assess(&self, input: &Comparison) -> Result<Decided<Assessment>, PolicyFault> {
        let question = convert::thresholds::question(input);
        let call = self.thresholds.decide(
            |store: &mut Store<CallState>, instance, export, settings| {
                export.load(&mut *store, instance)?.call_assess(store, settings, &question)
            },
            convert::thresholds::answer,
        )?;
        Ok(self.decided(&self.thresholds, input, call))
    }

    fn attribute(&self, input: &Candidate) -> Result<Decided<Attribution>, PolicyFault> {
        let question = convert::attribution::question(input);
        let call = self.attribution.decide(
            |store: &mut Store<CallState>, instance, export, settings| {
                export.load(&mut *store, instance)?.call_attribute(store, settings, &question)
            },
            |answer| convert::attribution::answer(answer, input),
        )?;
        Ok(self.decided(&self.attribution, input, call))
    }

    fn weigh(&self, input: &LedgerView) -> Result<Decided<WeightVector>, PolicyFault> {
        let question = convert::rewards::question(input);
        let call = self.rewards.decide(
            |store: &mut Store<CallState>, instance, export, settings| {
                export.load(&mut *store, instance)?.call_weigh(store, settings, &question)
            },
            |answer| convert::rewards::answer(answer, input),
        )?;
        Ok(self.decided(&self.rewards, input, call))
    }
}
