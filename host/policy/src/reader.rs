//! The Python reader: mechanism that reads hostile text, in the same sandbox as the policies.

use std::sync::Arc;

use wasmtime::component::InstancePre;

use prism_domain::consult::ProjectComparison;
use prism_domain::facts::{ModuleSource, SourceFacts};
use prism_domain::ids::Digest;
use prism_domain::policy::{PolicyFault, SourceReader};

use crate::bindings::exports::prism::host::python_facts::GuestIndices;
use crate::bound::Export;
use crate::call::{CallState, run};
use crate::convert;
use crate::fault::from_invalid_answer;
use crate::limits::Limits;
use crate::sandbox::{LoadError, Prepared, Sandbox};

/// Reads Python as data. Calls block and take a fresh instance each.
pub struct PythonReader {
    component: InstancePre<CallState>,
    digest: Digest,
    export: GuestIndices,
    limits: Limits,
    /// Keeps the epoch clock of the engine alive for as long as anything can be called.
    _sandbox: Arc<Sandbox>,
}

impl PythonReader {
    pub(crate) fn new(sandbox: Arc<Sandbox>, prepared: Prepared) -> Result<Self, LoadError> {
        let export = GuestIndices::find(&prepared.instance).map_err(LoadError::Link)?;
        Ok(Self {
            component: prepared.instance,
            digest: prepared.digest,
            export,
            limits: Limits::of_python_reader(),
            _sandbox: sandbox,
        })
    }

    /// SHA-256 of the component: which reader made a project's facts.
    pub const fn component(&self) -> Digest {
        self.digest
    }
}

impl SourceReader for PythonReader {
    fn read(
        &self,
        modules: &[ModuleSource],
        entrypoints: &[String],
    ) -> Result<SourceFacts, PolicyFault> {
        let modules = convert::source::modules(modules);
        let call = run(&self.component, &self.limits, |store, instance| {
            self.export.load(&mut *store, instance)?.call_extract(store, &modules, entrypoints)
        })
        .map_err(|failed| failed.fault)?;
        convert::source::facts(call.answer).map_err(|invalid| from_invalid_answer(&invalid))
    }

    fn compare(
        &self,
        modules: &[ModuleSource],
        others: &[ModuleSource],
    ) -> Result<ProjectComparison, PolicyFault> {
        let (modules, others) =
            (convert::source::modules(modules), convert::source::modules(others));
        let call = run(&self.component, &self.limits, |store, instance| {
            self.export.load(&mut *store, instance)?.call_compare(store, &modules, &others)
        })
        .map_err(|failed| failed.fault)?;
        convert::source::comparison(call.answer).map_err(|invalid| from_invalid_answer(&invalid))
    }
}
