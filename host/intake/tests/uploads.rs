//! Submissions as they arrive: the JSON form, the raw form, and their errors as clients know them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test may fail"
)]

use prism_intake::{
    ArchiveLimits, SourceFormat, Upload, UploadError, UploadLimits, accept_bridge, accept_json,
    is_json, unpack,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

fn sha256(text: &str) -> String {
    hex::encode(Sha256::digest(text))
}

fn json_body(value: &Value) -> Result<Upload, UploadError> {
    accept_json(value.to_string().as_bytes(), &UploadLimits::default())
}

fn raw(body: &[u8], filename: Option<&str>, content_type: &str) -> Result<Upload, UploadError> {
    let filename = filename.map(str::as_bytes);
    accept_bridge(body, filename, Some(content_type), &UploadLimits::default())
}

/// The first field error as `type loc`.
fn field(result: &Result<Upload, UploadError>) -> String {
    let error = result.as_ref().expect_err("refused");
    let entry = serde_json::to_value(error.fields()).unwrap()[0].clone();
    let loc: Vec<String> = entry["loc"]
        .as_array()
        .unwrap()
        .iter()
        .map(|part| match part {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        })
        .collect();
    format!("{} {}", entry["type"].as_str().unwrap(), loc.join("."))
}

#[test]
fn the_hash_is_of_the_code_string() {
    let module = json_body(&json!({"code": "x = 1\n"})).unwrap();
    assert_eq!((module.filename.as_str(), module.format), ("model.py", SourceFormat::Module));
    assert_eq!(module.code_hash, sha256("x = 1\n"));
    assert_eq!(module.code(), "x = 1\n");

    let archive = json_body(&json!({"code": "UEsFBg==", "filename": "p.zip"})).unwrap();
    assert_eq!(archive.bytes, b"PK\x05\x06");
    assert_eq!(archive.code_hash, sha256("UEsFBg=="));
    assert_eq!(archive.code(), "UEsFBg==");
}

#[test]
fn raw_and_json_forms_have_one_hash() {
    let archive = raw(b"PK\x05\x06", Some("p.zip"), "application/zip").unwrap();
    assert_eq!(archive.code_hash, sha256("UEsFBg=="));
    assert_eq!(archive.metadata["content_type"], "application/zip");
    assert_eq!(archive.metadata["bridge"], true);
    let module = raw(b"x = 1\n", Some("m.py"), "text/x-python").unwrap();
    assert_eq!(module.code_hash, sha256("x = 1\n"));
}

/// D37: the predecessor encoded a raw module as base64 and then parsed that as Python.
#[test]
fn a_raw_module_is_a_module() {
    let upload = raw(b"def build_model(ctx): ...\n", Some("model.py"), "text/x-python").unwrap();
    let limits = ArchiveLimits::default();
    let project = unpack(&upload.filename, &upload.bytes, &limits).unwrap();
    assert_eq!(project.files[0].text(), "def build_model(ctx): ...\n");
}

#[test]
fn raw_file_names_have_defaults() {
    for (given, content_type, expected) in [
        (None, "application/octet-stream", "submission.zip"),
        (None, "", "submission.zip"),
        (None, "text/x-python; charset=utf-8", "submission.py"),
        (Some("project"), "application/zip", "submission.zip"),
        (Some(""), "application/zip", "submission.zip"),
        (Some("my-net.zip"), "application/zip", "my-net.zip"),
        (Some("con.zip"), "application/zip", "con.zip"),
    ] {
        assert_eq!(raw(b"x", given, content_type).unwrap().filename, expected);
    }
}

/// D36: each of these was an internal error.
#[test]
fn bad_file_names_are_field_errors() {
    let pattern = "string_pattern_mismatch header.x-submission-filename";
    for name in
        ["my project.zip", "../../x.zip", "a/b.py", "<img src=x onerror=alert(1)>.zip", ".zip"]
    {
        assert_eq!(field(&raw(b"x", Some(name), "application/zip")), pattern, "{name}");
    }
    let long = format!("{}.zip", "x".repeat(300));
    let too_long = "string_too_long header.x-submission-filename";
    assert_eq!(field(&raw(b"x", Some(&long), "")), too_long);
    assert_eq!(field(&raw(b"x", Some("a\r\nSet-Cookie: x"), "")), pattern);
    let not_utf8 = accept_bridge(b"x", Some(b"\xff.zip"), None, &UploadLimits::default());
    assert_eq!(field(&not_utf8), pattern);
    let in_json = json_body(&json!({"code": "x", "filename": "a b.py"}));
    assert_eq!(field(&in_json), "string_pattern_mismatch body.filename");
}

#[test]
fn wrong_fields_are_reported_as_before() {
    for (body, expected) in [
        (json!({}), "missing body.code"),
        (json!({"code": ""}), "string_too_short body.code"),
        (json!({"code": 7}), "string_type body.code"),
        (json!({"code": null}), "string_type body.code"),
        (json!({"code": "x", "filename": null}), "string_type body.filename"),
        (json!({"code": "x", "metadata": []}), "dict_type body.metadata"),
        (json!({"code": "x", "metadata": {"a": "\u{0}"}}), "value_error body.metadata"),
        (json!({"code": "x\u{0}"}), "value_error body.code"),
        (json!({"code": "not base64!", "filename": "p.zip"}), "value_error body.code"),
        (json!({"code": "UEsFBg=", "filename": "p.zip"}), "value_error body.code"),
        (json!({"code": "UEsF\nBg==", "filename": "p.zip"}), "value_error body.code"),
        (json!({"code": "UEsFBh==", "filename": "p.zip"}), "value_error body.code"),
        (json!([]), "model_attributes_type body"),
        (json!("text"), "model_attributes_type body"),
        (json!(null), "missing body"),
        (json!({"code": "x", "metadata": {"a": "x".repeat(20_000)}}), "too_long body.metadata"),
        (json!({"code": "x", "metadata": {"a": vec![0; 5_000]}}), "too_long body"),
    ] {
        let shown: String = body.to_string().chars().take(60).collect();
        assert_eq!(field(&json_body(&body)), expected, "{shown}");
    }
    let several = json_body(&json!({"filename": "x", "metadata": 1})).unwrap_err();
    assert_eq!(several.fields().len(), 3);
}

#[test]
fn an_error_entry_has_the_known_shape() {
    let missing = json_body(&json!({"metadata": {}})).unwrap_err();
    assert_eq!(
        serde_json::to_value(missing.fields()).unwrap(),
        json!([{"type": "missing", "loc": ["body", "code"], "msg": "Field required", "input": {"metadata": {}}}])
    );
    let pattern = json_body(&json!({"code": "x", "filename": "x"})).unwrap_err();
    assert_eq!(
        serde_json::to_value(pattern.fields()).unwrap(),
        json!([{"type": "string_pattern_mismatch", "loc": ["body", "filename"],
            "msg": "String should match pattern '^[A-Za-z0-9_.-]+\\.(py|zip)$'", "input": "x",
            "ctx": {"pattern": "^[A-Za-z0-9_.-]+\\.(py|zip)$"}}])
    );
}

#[test]
fn what_is_no_json_is_refused_before_anything_else() {
    let deep = "[".repeat(100_000);
    let utf16: Vec<u8> = "{}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let cases: [&[u8]; 12] = [
        b"{",
        b"{\"code\": \"x\",}",
        b"{\"code\": \"\\ud800\"}",
        b"{\"code\": NaN}",
        b"{\"metadata\": {\"a\": 1e999}}",
        b"\xef\xbb\xbf{\"code\": \"x\"}",
        b"\xff\xfe",
        b"{\"code\": \"x\"} trailing",
        b"{\"code\": \"x\", \"code\": \"y\"}",
        b"PK\x03\x04",
        deep.as_bytes(),
        &utf16,
    ];
    for body in cases {
        let error = accept_json(body, &UploadLimits::default()).unwrap_err();
        let shown = String::from_utf8_lossy(&body[..body.len().min(40)]).into_owned();
        assert_eq!(error.code(), "json-invalid", "{shown}");
        assert_eq!(error.fields()[0].kind, "json_invalid", "{shown}");
    }
    let at = accept_json("{\n \"ä\": ?}".as_bytes(), &UploadLimits::default()).unwrap_err();
    assert_eq!(serde_json::to_value(at.fields()).unwrap()[0]["loc"], json!(["body", 8]));
}

#[test]
fn sizes_are_limited() {
    let limits = UploadLimits::default();
    let too_large = |result: Result<Upload, UploadError>| matches!(result, Err(error) if error.code() == "submission-too-large" && error.to_string() == "submission too large");
    let code = |bytes: usize| json!({"code": "x".repeat(bytes)});
    assert!(json_body(&code(limits.module_bytes)).is_ok());
    assert!(too_large(json_body(&code(limits.module_bytes + 1))));
    assert!(too_large(raw(&vec![b'x'; limits.module_bytes + 1], Some("m.py"), "")));
    // The predecessor's effective limit was 150,000 bytes, Platform's is 2,000,000.
    assert!(raw(&vec![0; limits.archive_bytes], Some("p.zip"), "").is_ok());
    assert!(too_large(raw(&vec![0; limits.archive_bytes + 1], Some("p.zip"), "")));
    let archive = |text: String| json!({"code": text, "filename": "p.zip"});
    assert!(json_body(&archive("A".repeat(limits.archive_base64_bytes() - 4))).is_ok());
    assert!(too_large(json_body(&archive("A".repeat(limits.archive_base64_bytes() + 4)))));
    assert!(limits.body_bytes() > limits.archive_base64_bytes() + limits.metadata_bytes);
    assert_eq!(field(&raw(b"", Some("p.zip"), "")), "missing body");
    assert_eq!(field(&raw(b"\xff", Some("m.py"), "")), "string_unicode body");
}

#[test]
fn json_content_types_are_recognised() {
    assert!(is_json("application/json") && is_json("Application/JSON; charset=utf-8"));
    assert!(is_json("application/vnd.prism+json"));
    assert!(!is_json("text/plain") && !is_json("") && !is_json("application/jsonx"));
    let on_bridge = raw(b"{\"code\": \"x\"}", None, "Application/JSON; charset=utf-8").unwrap();
    assert_eq!(on_bridge.filename, "model.py");
}
