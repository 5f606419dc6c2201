//! What every handler has at hand.

use std::sync::Arc;

use prism_intake::UploadLimits;
use prism_pipeline::Pipeline;

use super::admission::Admission;
use super::health::Readiness;
use crate::administration::Administration;
use crate::config::Settings;

/// Shared by all requests; cloning is cheap.
#[derive(Clone)]
pub(super) struct ApiState {
    /// The flow.
    pub(super) pipeline: Pipeline,
    /// What operators do to policies.
    pub(super) administration: Administration,
    /// Settings of this process.
    pub(super) settings: Arc<Settings>,
    /// Limits of an upload.
    pub(super) limits: Arc<UploadLimits>,
    /// Places of requests.
    pub(super) admission: Arc<Admission>,
    /// What was last found out about the database.
    pub(super) readiness: Arc<Readiness>,
}

impl ApiState {
    pub(super) fn new(
        pipeline: Pipeline,
        administration: Administration,
        settings: Settings,
    ) -> Self {
        let limits = UploadLimits {
            module_bytes: settings.max_code_bytes,
            archive_bytes: settings.max_upload_bytes,
            ..UploadLimits::default()
        };
        let admission = Arc::new(Admission::new(&settings.edge));
        Self {
            pipeline,
            administration,
            settings: Arc::new(settings),
            limits: Arc::new(limits),
            admission,
            readiness: Arc::default(),
        }
    }
}
