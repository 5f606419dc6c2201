//! Any body of an upload, over either route: what is accepted is within its limits and means the same to
//! an ordinary JSON reader; what is refused says which field is wrong.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use prism_fuzz::reading::check_rejection;
use prism_intake::{
    ArchiveLimits, ComponentSignature, SignedHeaders, UnparsedHeaders, Upload, UploadError,
    UploadLimits, accept_bridge, accept_json, parse_hotkey, unpack,
};

#[derive(Arbitrary, Debug)]
struct Request<'a> {
    route: Route<'a>,
    body: &'a [u8],
}

#[derive(Arbitrary, Debug)]
enum Route<'a> {
    Json,
    Members { filename: &'a str, base64: bool, metadata: &'a str },
    Bridge { filename: Option<&'a [u8]>, content_type: Option<&'a str> },
    Headers { hotkey: &'a [u8], signature: &'a [u8], nonce: &'a [u8], timestamp: &'a [u8] },
}

fuzz_target!(|request: Request<'_>| {
    let limits = UploadLimits::default();
    let Request { route, body } = request;
    match route {
        Route::Json => check_json(body, &limits),
        Route::Members { filename, base64, metadata } => {
            let code = String::from_utf8_lossy(body);
            let suffix = if base64 { "zip" } else { "py" };
            let text = serde_json::json!({
                "code": code,
                "filename": format!("{filename}.{suffix}"),
                "metadata": {"note": metadata},
            });
            check_json(text.to_string().as_bytes(), &limits);
        }
        Route::Bridge { filename, content_type } => {
            check(&accept_bridge(body, filename, content_type, &limits), &limits);
        }
        Route::Headers { hotkey, signature, nonce, timestamp } => {
            let headers = UnparsedHeaders {
                hotkey: Some(hotkey),
                signature: Some(signature),
                nonce: Some(nonce),
                timestamp: Some(timestamp),
            };
            check_headers(headers);
        }
    }
});

fn check_json(body: &[u8], limits: &UploadLimits) {
    let taken = accept_json(body, limits);
    check(&taken, limits);
    if let Ok(upload) = taken {
        let value: serde_json::Value =
            serde_json::from_slice(body).expect("JSON to others as well");
        assert_eq!(value["code"].as_str().map(str::len), Some(upload.code().len()));
    }
}

fn check(taken: &Result<Upload, UploadError>, limits: &UploadLimits) {
    match taken {
        Ok(upload) => {
            assert!(upload.filename.len() <= UploadLimits::FILENAME_CHARS);
            let plain = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
            assert!(upload.filename.bytes().all(plain), "{}", upload.filename);
            assert!(upload.bytes.len() <= limits.module_bytes.max(limits.archive_bytes));
            let metadata = serde_json::to_string(&upload.metadata).expect("JSON");
            assert!(metadata.len() <= limits.metadata_bytes);
            assert!(!has_nul(&serde_json::Value::Object(upload.metadata.clone())));
            if let Err(rejection) =
                unpack(&upload.filename, &upload.bytes, &ArchiveLimits::default())
            {
                check_rejection(&rejection);
            }
        }
        Err(error) => {
            let large = matches!(error, UploadError::TooLarge { .. });
            assert!(large || !error.fields().is_empty(), "{error}");
            serde_json::to_string(&error.fields()).expect("an answer can be written");
        }
    }
}

/// A database that speaks C cannot hold such text.
fn has_nul(value: &serde_json::Value) -> bool {
    use serde_json::Value;
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(has_nul),
        Value::Object(members) => {
            members.iter().any(|(name, value)| name.contains('\0') || has_nul(value))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

fn check_headers(headers: UnparsedHeaders<'_>) {
    if let Ok(signed) = SignedHeaders::parse(headers) {
        assert_eq!(parse_hotkey(&signed.hotkey).as_deref(), Ok(signed.hotkey.as_str()));
        assert!((1..=128).contains(&signed.nonce.len()));
    }
    if let Some(text) = headers.signature.and_then(|bytes| std::str::from_utf8(bytes).ok()) {
        drop(ComponentSignature::parse(text));
    }
}
