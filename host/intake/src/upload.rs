//! A submission as it arrives, over either route, and its checked form. The archive itself is not
//! looked into here: an upload is accepted first and judged by the pipeline.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::fields::FieldError;
use crate::json_body::{self, JsonFault};
use crate::limits::UploadLimits;

/// The file names that a submission may have.
const FILENAME_PATTERN: &str = r"^[A-Za-z0-9_.-]+\.(py|zip)$";
const FILENAME_HEADER: [&str; 2] = ["header", "x-submission-filename"];
const DEFAULT_JSON_FILENAME: &str = "model.py";
const DEFAULT_ARCHIVE_FILENAME: &str = "submission.zip";
const DEFAULT_MODULE_FILENAME: &str = "submission.py";
const CONTENT_TYPE_CHARS: usize = 128;

/// What a submission is, by the suffix of its file name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SourceFormat {
    /// One Python module, `.py`.
    Module,
    /// A ZIP archive, `.zip`.
    Archive,
}

impl SourceFormat {
    /// The format that a checked file name stands for.
    pub fn of(filename: &str) -> Self {
        match filename.rsplit_once('.') {
            Some((_, "zip")) => Self::Archive,
            _ => Self::Module,
        }
    }
}

/// A submission whose outer form is checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Upload {
    /// A label that matches `^[A-Za-z0-9_.-]+\.(py|zip)$`, at most 128 characters.
    pub filename: String,
    /// What the content is.
    pub format: SourceFormat,
    /// The module's UTF-8 text without NUL, or the archive's bytes (not base64), unchecked.
    pub bytes: Vec<u8>,
    /// SHA-256 of [`Upload::code`], 64 lower-case hex digits. The same project has the same hash
    /// whether it came raw or as JSON.
    pub code_hash: String,
    /// What the miner said about it, bounded, without NUL.
    pub metadata: Map<String, Value>,
}

impl Upload {
    /// The code string of the JSON form: the module's text, or the archive as base64.
    pub fn code(&self) -> String {
        code_of(self.format, &self.bytes)
    }

    fn new(filename: String, bytes: Vec<u8>, metadata: Map<String, Value>) -> Self {
        let format = SourceFormat::of(&filename);
        let code_hash = match format {
            SourceFormat::Module => hex::encode(Sha256::digest(&bytes)),
            SourceFormat::Archive => hex::encode(Sha256::digest(code_of(format, &bytes))),
        };
        Self { filename, format, bytes, code_hash, metadata }
    }
}

fn code_of(format: SourceFormat, content: &[u8]) -> String {
    match format {
        SourceFormat::Module => String::from_utf8_lossy(content).into_owned(),
        SourceFormat::Archive => STANDARD.encode(content),
    }
}

/// Why an upload is not taken in.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum UploadError {
    /// More bytes than the limit (413).
    #[error("submission too large")]
    TooLarge {
        /// The limit that was exceeded, in bytes.
        limit_bytes: usize,
    },
    /// A JSON body that is not JSON (422 on the public route, 400 on the bridge). The one entry is
    /// of type `json_invalid`.
    #[error("invalid JSON submission")]
    Json(FieldError),
    /// Fields that are missing or wrong (422).
    #[error("invalid submission")]
    Fields(Vec<FieldError>),
}

impl UploadError {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "submission-too-large",
            Self::Json(_) => "json-invalid",
            Self::Fields(_) => "submission-invalid",
        }
    }

    /// Every field error, none for a body that is too large.
    pub fn fields(&self) -> &[FieldError] {
        match self {
            Self::TooLarge { .. } => &[],
            Self::Json(error) => std::slice::from_ref(error),
            Self::Fields(errors) => errors,
        }
    }

    fn field(error: FieldError) -> Self {
        Self::Fields(vec![error])
    }
}

/// Whether a content type is JSON for the public route: `application/json` or `+json`.
pub fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json"
        || (essence.starts_with("application/") && essence.ends_with("+json"))
}

/// Takes the body of the bridge: JSON if the content type says so, otherwise the file itself.
/// `filename` is the raw header; one that is absent or without a known suffix gets a default.
pub fn accept_bridge(
    body: &[u8],
    filename: Option<&[u8]>,
    content_type: Option<&str>,
    limits: &UploadLimits,
) -> Result<Upload, UploadError> {
    let declared = content_type.unwrap_or_default();
    if declared.to_ascii_lowercase().contains("application/json") {
        return accept_json(body, limits);
    }
    if body.is_empty() {
        return Err(UploadError::field(FieldError::missing(&["body"], &Value::Null)));
    }
    let filename = bridge_filename(filename, declared)?;
    check_size(SourceFormat::of(&filename), body.len(), limits)?;
    if SourceFormat::of(&filename) == SourceFormat::Module {
        check_module(&["body"], body)?;
    }
    let shown = if declared.is_empty() { "application/octet-stream" } else { declared };
    let shown: String =
        shown.chars().filter(|c| !c.is_control()).take(CONTENT_TYPE_CHARS).collect();
    let mut metadata = Map::new();
    metadata.insert("content_type".to_owned(), json!(shown));
    metadata.insert("bridge".to_owned(), json!(true));
    Ok(Upload::new(filename, body.to_vec(), metadata))
}

/// Takes a JSON body `{"code", "filename"?, "metadata"?}`; other members are ignored.
pub fn accept_json(body: &[u8], limits: &UploadLimits) -> Result<Upload, UploadError> {
    if body.is_empty() {
        return Err(UploadError::field(FieldError::missing(&["body"], &Value::Null)));
    }
    let value = json_body::parse(body, limits.json_values).map_err(|fault| match fault {
        JsonFault::Syntax { at, reason } => {
            UploadError::Json(FieldError::json_invalid(at, &reason))
        }
        JsonFault::TooMany => {
            let message = format!("Body should have fewer than {} values", limits.json_values);
            UploadError::field(FieldError::new("too_long", &["body"], &message, &Value::Null))
        }
    })?;
    match value {
        Value::Null => Err(UploadError::field(FieldError::missing(&["body"], &Value::Null))),
        Value::Object(members) => accept_members(members, limits),
        other => Err(UploadError::field(FieldError::new(
            "model_attributes_type",
            &["body"],
            "Input should be a valid dictionary or object to extract fields from",
            &other,
        ))),
    }
}

fn accept_members(
    mut members: Map<String, Value>,
    limits: &UploadLimits,
) -> Result<Upload, UploadError> {
    let mut errors = Vec::new();
    let code = members.remove("code");
    let rest = Value::Object(members.clone());
    let code = text_field(&["body", "code"], code, None, &rest).map_err(|e| errors.push(e)).ok();
    let filename = text_field(
        &["body", "filename"],
        members.remove("filename"),
        Some(DEFAULT_JSON_FILENAME),
        &rest,
    )
    .and_then(|name| check_filename(&["body", "filename"], name))
    .map_err(|e| errors.push(e))
    .ok();
    let metadata = metadata_field(members.remove("metadata"), limits.metadata_bytes)
        .map_err(|e| errors.push(e))
        .ok();
    let (Some(code), Some(filename), Some(metadata)) = (code, filename, metadata) else {
        return Err(UploadError::Fields(errors));
    };
    let content = decode(code, SourceFormat::of(&filename), limits)?;
    Ok(Upload::new(filename, content, metadata))
}

fn text_field(
    loc: &[&str],
    value: Option<Value>,
    default: Option<&str>,
    parent: &Value,
) -> Result<String, FieldError> {
    match (value, default) {
        (None, Some(default)) => Ok(default.to_owned()),
        (None, None) => Err(FieldError::missing(loc, parent)),
        (Some(Value::String(text)), _) if text.is_empty() => Err(FieldError::too_short(loc)),
        (Some(Value::String(text)), _) => Ok(text),
        (Some(other), _) => {
            Err(FieldError::new("string_type", loc, "Input should be a valid string", &other))
        }
    }
}

fn check_filename(loc: &[&str], name: String) -> Result<String, FieldError> {
    if name.chars().count() > UploadLimits::FILENAME_CHARS {
        return Err(FieldError::too_long(loc, UploadLimits::FILENAME_CHARS, &json!(name)));
    }
    let stem = name.strip_suffix(".py").or_else(|| name.strip_suffix(".zip")).unwrap_or_default();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    if stem.is_empty() || !stem.chars().all(plain) {
        return Err(FieldError::pattern(loc, FILENAME_PATTERN, &json!(name)));
    }
    Ok(name)
}

fn metadata_field(
    value: Option<Value>,
    limit_bytes: usize,
) -> Result<Map<String, Value>, FieldError> {
    let loc = ["body", "metadata"];
    let metadata = match value {
        None => return Ok(Map::new()),
        Some(Value::Object(metadata)) => metadata,
        Some(other) => {
            let message = "Input should be a valid dictionary";
            return Err(FieldError::new("dict_type", &loc, message, &other));
        }
    };
    let text = serde_json::to_string(&metadata).unwrap_or_default();
    if text.len() > limit_bytes {
        let message = format!("Metadata should have at most {limit_bytes} bytes as JSON");
        return Err(FieldError::new("too_long", &loc, &message, &Value::Null));
    }
    if has_nul(&Value::Object(metadata.clone())) {
        return Err(nul_error(&loc));
    }
    Ok(metadata)
}

fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(has_nul),
        Value::Object(members) => {
            members.iter().any(|(name, value)| name.contains('\0') || has_nul(value))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

fn nul_error(loc: &[&str]) -> FieldError {
    FieldError::new("value_error", loc, "Value error, text should not contain NUL", &Value::Null)
}

fn decode(
    code: String,
    format: SourceFormat,
    limits: &UploadLimits,
) -> Result<Vec<u8>, UploadError> {
    match format {
        SourceFormat::Module => {
            check_size(format, code.len(), limits)?;
            check_module(&["body", "code"], code.as_bytes())?;
            Ok(code.into_bytes())
        }
        SourceFormat::Archive => {
            if code.len() > limits.archive_base64_bytes() {
                return Err(UploadError::TooLarge { limit_bytes: limits.archive_bytes });
            }
            let content = STANDARD.decode(&code).map_err(|fault| {
                let message = format!("Value error, code of a .zip should be base64: {fault}");
                let loc = ["body", "code"];
                UploadError::field(FieldError::new("value_error", &loc, &message, &Value::Null))
            })?;
            check_size(format, content.len(), limits)?;
            Ok(content)
        }
    }
}

fn check_size(
    format: SourceFormat,
    bytes: usize,
    limits: &UploadLimits,
) -> Result<(), UploadError> {
    let limit_bytes = match format {
        SourceFormat::Module => limits.module_bytes,
        SourceFormat::Archive => limits.archive_bytes,
    };
    if bytes > limit_bytes { Err(UploadError::TooLarge { limit_bytes }) } else { Ok(()) }
}

fn check_module(loc: &[&str], content: &[u8]) -> Result<(), UploadError> {
    match std::str::from_utf8(content) {
        Err(fault) => {
            let at = fault.valid_up_to();
            let message = format!("Input should be UTF-8 text, byte {at} is not");
            let error = FieldError::new("string_unicode", loc, &message, &Value::Null);
            Err(UploadError::field(error))
        }
        Ok(text) if text.contains('\0') => Err(UploadError::field(nul_error(loc))),
        Ok(_) => Ok(()),
    }
}

fn bridge_filename(header: Option<&[u8]>, content_type: &str) -> Result<String, UploadError> {
    let default = if content_type.to_ascii_lowercase().contains("python") {
        DEFAULT_MODULE_FILENAME
    } else {
        DEFAULT_ARCHIVE_FILENAME
    };
    let name = match header.map(std::str::from_utf8) {
        None | Some(Ok("")) => return Ok(default.to_owned()),
        Some(Ok(name)) => name,
        Some(Err(_)) => {
            let error = FieldError::pattern(&FILENAME_HEADER, FILENAME_PATTERN, &Value::Null);
            return Err(UploadError::field(error));
        }
    };
    let known = SUFFIXES.iter().any(|suffix| name.ends_with(suffix));
    if !known && name.len() <= UploadLimits::FILENAME_CHARS && !name.contains(char::is_control) {
        return Ok(default.to_owned());
    }
    check_filename(&FILENAME_HEADER, name.to_owned()).map_err(UploadError::field)
}

const SUFFIXES: [&str; 2] = [".py", ".zip"];
