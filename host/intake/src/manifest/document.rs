//! The YAML of a manifest: one small mapping, read under a budget, its fields taken out by hand so
//! that unknown ones can be named. Knows nothing of files.

use prism_domain::submission::ProjectKind;
use serde_json::{Map, Value};
use serde_saphyr::{DuplicateKeyPolicy, Options};

use crate::limits::ArchiveLimits;
use crate::manifest::{Manifest, ManifestWarning};
use crate::path::ProjectPath;
use crate::refusal::{Refusal, Rule, printable};

/// Longest `architecture_id`, in characters.
const ARCHITECTURE_ID_CHARS: usize = 128;

/// A section, `architecture` or `training`, as written.
#[derive(Debug, Default)]
pub(super) struct Section {
    pub(super) entrypoint: Option<String>,
    pub(super) files: Vec<String>,
}

/// A manifest, as written.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) kind: ProjectKind,
    pub(super) architecture_id: Option<String>,
    pub(super) architecture: Section,
    pub(super) training: Section,
    pub(super) warnings: Vec<ManifestWarning>,
}

impl Default for Document {
    fn default() -> Self {
        Self {
            kind: ProjectKind::Full,
            architecture_id: None,
            architecture: Section::default(),
            training: Section::default(),
            warnings: Vec::new(),
        }
    }
}

impl Document {
    pub(super) fn parse(
        path: &ProjectPath,
        bytes: &[u8],
        limits: &ArchiveLimits,
    ) -> Result<Self, Refusal> {
        let mapping = parse_yaml(path, bytes, limits)?;
        Fields { path, warnings: Vec::new() }.document(mapping)
    }
}

fn parse_yaml(
    path: &ProjectPath,
    bytes: &[u8],
    limits: &ArchiveLimits,
) -> Result<Map<String, Value>, Refusal> {
    let invalid = |detail: String| Refusal::at(Rule::ManifestInvalid, path.as_str(), detail);
    if bytes.len() > limits.manifest_bytes {
        let (length, limit) = (bytes.len(), limits.manifest_bytes);
        return Err(invalid(format!("the manifest has {length} bytes, the limit is {limit}")));
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|fault| invalid(format!("byte {} is not UTF-8", fault.valid_up_to())))?;
    let value: Value = serde_saphyr::from_str_with_options(text, options()).map_err(|fault| {
        let location = fault.location();
        Refusal {
            line: location.map(|at| at.line()),
            column: location.map(|at| at.column()),
            ..invalid(format!("not a plain YAML mapping: {}", summary(&fault)))
        }
    })?;
    match value {
        Value::Null => Ok(Map::new()),
        Value::Object(mapping) => Ok(mapping),
        _ => Err(invalid("the manifest is not a mapping".to_owned())),
    }
}

/// A manifest is a dozen short lines; these bounds are far above that and far below harm.
fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: 4_000,
            max_aliases: 16,
            max_anchors: 16,
            max_depth: 8,
            flow_nesting_limit: 8,
            max_documents: 1,
            max_nodes: 2_000,
            max_total_scalar_bytes: 32 << 10,
            max_merge_keys: 0,
            max_inclusion_depth: 0,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 200,
            max_replay_stack_depth: 4,
        },
        duplicate_keys: DuplicateKeyPolicy::Error,
        reject_unsupported_tags: true,
        with_snippet: false,
    }
}

/// The first line of the parser's message, bounded: it quotes the input.
fn summary(fault: &serde_saphyr::Error) -> String {
    let text = fault.without_snippet().to_string();
    printable(text.lines().next().unwrap_or_default())
}

/// Takes known fields out of mappings and reports the rest.
struct Fields<'a> {
    path: &'a ProjectPath,
    warnings: Vec<ManifestWarning>,
}

impl Fields<'_> {
    fn document(mut self, mut mapping: Map<String, Value>) -> Result<Document, Refusal> {
        let kind = self.kind(mapping.remove("kind"))?;
        let architecture_id = self.architecture_id(kind, mapping.remove("architecture_id"))?;
        let entrypoint = self.text("entrypoint", mapping.remove("entrypoint"))?;
        let mut architecture = self.section("architecture", mapping.remove("architecture"))?;
        let training = self.section("training", mapping.remove("training"))?;
        architecture.entrypoint = architecture.entrypoint.or(entrypoint);
        for field in mapping.keys() {
            self.warn(field, "unknown field, ignored");
        }
        let warnings = self.warnings;
        Ok(Document { kind, architecture_id, architecture, training, warnings })
    }

    fn kind(&self, value: Option<Value>) -> Result<ProjectKind, Refusal> {
        let Some(word) = self.text("kind", value)? else { return Ok(ProjectKind::Full) };
        ProjectKind::from_name(&word).ok_or_else(|| {
            self.invalid(format!(
                "`kind` is `{}`, not one of full, architecture_only, training_for_arch",
                printable(&word)
            ))
        })
    }

    fn architecture_id(
        &mut self,
        kind: ProjectKind,
        value: Option<Value>,
    ) -> Result<Option<String>, Refusal> {
        let id = match value {
            Some(Value::Number(number)) if number.is_u64() => Some(number.to_string()),
            other => self.text("architecture_id", other)?,
        };
        if kind != ProjectKind::TrainingForArch {
            if id.is_some() {
                let message = format!("only training_for_arch has one, this is {}", kind.as_str());
                self.warn("architecture_id", &message);
            }
            return Ok(None);
        }
        let Some(id) = id else {
            let detail = "`training_for_arch` needs `architecture_id`, the family to train";
            return Err(self.invalid(detail.to_owned()));
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if id.len() > ARCHITECTURE_ID_CHARS || !id.chars().all(plain) {
            return Err(self.invalid(format!("`architecture_id` `{}` is no id", printable(&id))));
        }
        Ok(Some(id))
    }

    fn section(&mut self, name: &str, value: Option<Value>) -> Result<Section, Refusal> {
        let mut mapping = match value {
            None | Some(Value::Null) => return Ok(Section::default()),
            Some(Value::Object(mapping)) => mapping,
            Some(_) => return Err(self.invalid(format!("`{name}` is not a mapping"))),
        };
        let entrypoint = self.text(&format!("{name}.entrypoint"), mapping.remove("entrypoint"))?;
        let files = self.files(&format!("{name}.files"), mapping.remove("files"))?;
        for field in mapping.keys() {
            self.warn(&format!("{name}.{field}"), "unknown field, ignored");
        }
        Ok(Section { entrypoint, files })
    }

    fn files(&self, field: &str, value: Option<Value>) -> Result<Vec<String>, Refusal> {
        let not_a_list = || self.invalid(format!("`{field}` is not a list of paths"));
        match value {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::String(one)) => Ok(vec![one]),
            Some(Value::Array(items)) => items
                .into_iter()
                .map(|item| match item {
                    Value::String(path) => Ok(path),
                    _ => Err(not_a_list()),
                })
                .collect(),
            Some(_) => Err(not_a_list()),
        }
    }

    /// A text field; null and the empty text count as absent.
    fn text(&self, field: &str, value: Option<Value>) -> Result<Option<String>, Refusal> {
        match value {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.invalid(format!("`{field}` is not text; put it in quotes"))),
        }
    }

    fn invalid(&self, detail: String) -> Refusal {
        Refusal::at(Rule::ManifestInvalid, self.path.as_str(), detail)
    }

    fn warn(&mut self, field: &str, message: &str) {
        if self.warnings.len() < Manifest::WARNINGS {
            let warning = ManifestWarning { field: printable(field), message: message.to_owned() };
            self.warnings.push(warning);
        }
    }
}
