//! A component bound to its slot: described, configured, checked, and ready to be called.

use semver::Version;
use wasmtime::Store;
use wasmtime::component::{Instance, InstancePre};

use prism_domain::policy::{InvalidAnswer, PolicyFault, Slot};

use crate::bindings::exports::prism::plugin::meta::{Descriptor, GuestIndices as MetaIndices};
use crate::bindings::prism::types::types::PolicyError;
use crate::call::{Call, CallState, FailedCall, LogLevel, LogLine, run};
use crate::fault::{from_invalid_answer, from_policy_error};
use crate::limits::Limits;
use crate::manifest::Revision;
use crate::sandbox::{LoadError, Prepared};
use crate::settings::{Schema, canonical_json, parse_bounded};

/// Bytes of a policy's name.
const NAME_MAX_BYTES: usize = 64;

/// Where an exported interface of a component is found: one implementation per slot.
pub(crate) trait Export: Sized {
    /// Finds the interface in a component that was checked against its world.
    fn find(component: &InstancePre<CallState>) -> wasmtime::Result<Self>;
}

macro_rules! export {
    ($($package:ident / $interface:ident),+ $(,)?) => {$(
        impl Export for crate::bindings::exports::prism::$package::$interface::GuestIndices {
            fn find(component: &InstancePre<CallState>) -> wasmtime::Result<Self> {
                Self::new(component)
            }
        }
    )+};
}

export!(
    scaling / scaling,
    thresholds / thresholds,
    attribution / attribution,
    rewards / rewards,
    host / python_facts,
);

/// What a reviewer exports.
pub(crate) struct Reviewer {
    /// Its judgement from facts alone.
    pub(crate) judge: crate::bindings::exports::prism::review::review::GuestIndices,
    /// Its closer look; none where it takes none.
    pub(crate) consult: Option<crate::bindings::exports::prism::consult::consult::GuestIndices>,
}

impl Export for Reviewer {
    fn find(component: &InstancePre<CallState>) -> wasmtime::Result<Self> {
        use crate::bindings::exports::prism::consult::consult::GuestIndices as Consult;
        use crate::bindings::exports::prism::review::review::GuestIndices as Judge;
        // One that is there has the right shape: the component was checked against the world with it.
        Ok(Self { judge: Judge::new(component)?, consult: Consult::new(component).ok() })
    }
}

/// A component cannot fill its slot.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// It cannot be made ready at all.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// It cannot say who it is.
    #[error("it does not describe itself: {0}")]
    Describe(#[source] PolicyFault),
    /// What it says about itself breaks the rules.
    #[error("its description is invalid: {0}")]
    Description(String),
    /// Its settings are refused, by its schema or by itself.
    #[error("its settings are invalid: {}", .0.join("; "))]
    Settings(Vec<String>),
    /// A limit of the revision cannot be enforced on this host.
    #[error("its limits cannot be enforced: {0}")]
    Limits(&'static str),
    /// The revision was made for another determinism profile.
    #[error("it was made for the profile `{0}`")]
    Profile(String),
    /// The bytes are not at hand, or are not those that the revision names.
    #[error("its bytes are not at hand")]
    Missing,
}

impl BindError {
    /// Stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Load(error) => error.code(),
            Self::Describe(_) => "component-describe",
            Self::Description(_) => "component-description",
            Self::Settings(_) => "settings-invalid",
            Self::Limits(_) => "limits-unenforceable",
            Self::Profile(_) => "profile-unknown",
            Self::Missing => "component-missing",
        }
    }
}

/// Who a component is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyInfo {
    /// Name of the policy.
    pub name: String,
    /// Version, as its author counts.
    pub version: String,
    /// What it does, one sentence.
    pub summary: String,
    /// JSON Schema of its settings.
    pub settings_schema: String,
}

impl PolicyInfo {
    /// Whether this is an older version of the same policy: of two semantic versions the lower one.
    pub fn is_older_than(&self, other: &Self) -> bool {
        let version = |info: &Self| Version::parse(&info.version).ok();
        let both = version(self).zip(version(other)).filter(|_| self.name == other.name);
        both.is_some_and(|(own, other)| own.cmp_precedence(&other).is_lt())
    }

    /// Whether the version can be compared with others.
    pub(crate) fn has_semantic_version(&self) -> bool {
        Version::parse(&self.version).is_ok()
    }
}

/// A component in its slot.
pub(crate) struct Bound<E> {
    pub(crate) slot: Slot,
    pub(crate) info: PolicyInfo,
    pub(crate) revision: Revision,
    component: InstancePre<CallState>,
    export: E,
    settings: String,
}

impl<E: Export> Bound<E> {
    /// Binds a prepared component; without `settings` those that it comes with are in force.
    pub(crate) fn new(
        slot: Slot,
        prepared: Prepared,
        settings: Option<serde_json::Value>,
        limits: Limits,
    ) -> Result<Self, BindError> {
        if let Some(why) = limits.unenforceable() {
            return Err(BindError::Limits(why));
        }
        let component = prepared.instance;
        let meta = MetaIndices::new(&component).map_err(LoadError::Link)?;
        let export = E::find(&component).map_err(LoadError::Link)?;
        let described = run(&component, &Limits::of_meta(), |store, instance| {
            meta.load(&mut *store, instance)?.call_describe(store)
        })
        .map_err(|failed| BindError::Describe(failed.fault))?;
        let descriptor = described.answer;
        check_description(&descriptor)?;
        let schema = Schema::parse(&descriptor.settings_schema).map_err(BindError::Description)?;
        let settings = match settings {
            Some(given) => given,
            None => parse_bounded("default settings", &descriptor.default_settings)
                .map_err(BindError::Description)?,
        };
        let text = canonical_json(&settings);
        let mut problems = schema.problems(&settings);
        if problems.is_empty() {
            let checked = run(&component, &Limits::of_meta(), |store, instance| {
                meta.load(&mut *store, instance)?.call_check_settings(store, &text)
            });
            problems = checked.map_err(|failed| BindError::Describe(failed.fault))?.answer;
        }
        if !problems.is_empty() {
            return Err(BindError::Settings(problems));
        }
        let revision = Revision {
            component: prepared.digest,
            settings,
            limits,
            profile: crate::engine::PROFILE.to_owned(),
        };
        let info = PolicyInfo {
            name: descriptor.name,
            version: descriptor.version,
            summary: descriptor.summary,
            settings_schema: descriptor.settings_schema,
        };
        Ok(Self { slot, info, revision, component, export, settings: text })
    }
}

impl<E> Bound<E> {
    /// The component itself, without settings and limits.
    pub(crate) fn prepared(&self) -> Prepared {
        Prepared { digest: self.revision.component, instance: self.component.clone() }
    }

    /// What it exports.
    pub(crate) const fn export(&self) -> &E {
        &self.export
    }

    /// Calls the component with the settings in force and rebuilds its answer with `check`.
    pub(crate) fn decide<A, T>(
        &self,
        call: impl FnOnce(&mut Store<CallState>, &Instance, &E, &str) -> Answered<A>,
        check: impl FnOnce(A) -> Result<T, InvalidAnswer>,
    ) -> Result<Call<T>, PolicyFault> {
        let decided = self.ask(&self.settings, call).and_then(|done| {
            let Call { answer, fuel_used, wall_us, log } = done;
            let checked = answer
                .map_err(from_policy_error)
                .and_then(|answer| check(answer).map_err(|why| from_invalid_answer(&why)));
            match checked {
                Ok(answer) => Ok(Call { answer, fuel_used, wall_us, log }),
                Err(fault) => Err(FailedCall { fault, fuel_used, log }),
            }
        });
        match decided {
            Ok(call) => {
                self.tell(&call.log);
                Ok(call)
            }
            Err(FailedCall { fault, fuel_used, log }) => {
                self.tell(&log);
                let (slot, component) = (self.slot.as_str(), &self.revision.component);
                tracing::warn!(slot, %component, fuel_used, fault = %fault, "a policy gave no answer");
                Err(fault)
            }
        }
    }

    /// Calls the component with other settings and gives its answer as it came.
    pub(crate) fn ask<A>(
        &self,
        settings: &str,
        call: impl FnOnce(&mut Store<CallState>, &Instance, &E, &str) -> Answered<A>,
    ) -> Result<Call<Result<A, PolicyError>>, FailedCall> {
        run(&self.component, &self.revision.limits, |store, instance| {
            call(store, instance, &self.export, settings)
        })
    }

    fn tell(&self, log: &[LogLine]) {
        let (slot, component) = (self.slot.as_str(), &self.revision.component);
        for LogLine { level, message } in log {
            match level {
                LogLevel::Debug => tracing::debug!(slot, %component, message, "policy"),
                LogLevel::Info => tracing::info!(slot, %component, message, "policy"),
                LogLevel::Warn => tracing::warn!(slot, %component, message, "policy"),
            }
        }
    }
}

/// What an exported function gives: an answer or a typed refusal, unless the engine had to step in.
pub(crate) type Answered<A> = wasmtime::Result<Result<A, PolicyError>>;

fn check_description(descriptor: &Descriptor) -> Result<(), BindError> {
    let name = &descriptor.name;
    let named = (1..=NAME_MAX_BYTES).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if !named {
        return Err(BindError::Description(format!("the name `{name}` is not `[a-z0-9-]`")));
    }
    if descriptor.version.is_empty() || descriptor.version.len() > NAME_MAX_BYTES {
        return Err(BindError::Description("the version is empty or too long".to_owned()));
    }
    Ok(())
}
