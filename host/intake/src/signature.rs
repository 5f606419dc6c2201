//! Signed requests of miners: header shape, time window, and the signature over
//! `prism:{hotkey}:{nonce}:{timestamp}:{sha256 of the body}`.
//!
//! The signature is sr25519 in the context `substrate`, over the bare message. The form
//! `<Bytes>message</Bytes>` of browser wallets is not accepted: one message has one form, so that
//! one nonce cannot stand for two.

use hmac::{Hmac, KeyInit, Mac};
use schnorrkel::{PublicKey, Signature};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::fields::FieldError;
use crate::hotkey::{HotkeyError, parse_hotkey, public_key_of};

/// How far the timestamp of a request may be from now, in seconds, either way.
pub const SIGNATURE_WINDOW_S: u64 = 300;

const SIGNING_CONTEXT: &[u8] = b"substrate";
const HEADER_CHARS: usize = 128;
/// Longest signature header that is looked at: `sha256=` or `0x` and 128 hex digits fit well.
const SIGNATURE_CHARS: usize = 256;
const TIMESTAMP_CHARS: usize = 32;
const SIGNATURE_BYTES: usize = 64;

/// The four headers of a signed request as received, `None` where absent.
#[derive(Clone, Copy, Debug, Default)]
pub struct UnparsedHeaders<'a> {
    /// `X-Hotkey`.
    pub hotkey: Option<&'a [u8]>,
    /// `X-Signature`.
    pub signature: Option<&'a [u8]>,
    /// `X-Nonce`.
    pub nonce: Option<&'a [u8]>,
    /// `X-Timestamp`.
    pub timestamp: Option<&'a [u8]>,
}

/// The headers of a signed request, checked in shape but not yet verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedHeaders {
    /// A valid hotkey, see [`parse_hotkey`].
    pub hotkey: String,
    /// 1 to 128 characters of `[A-Za-z0-9_.-]`, to be used once for this hotkey.
    pub nonce: String,
    /// The timestamp, in seconds since 1970.
    pub timestamp_s: u64,
    timestamp: String,
    signature: String,
}

/// Which signatures count.
#[derive(Clone)]
pub enum SignatureScheme {
    /// sr25519 only.
    Sr25519,
    /// sr25519, or hex HMAC-SHA256 under this key, for development without wallets.
    Development {
        /// The key, which must be no secret of a production system.
        key: Vec<u8>,
    },
}

impl std::fmt::Debug for SignatureScheme {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            Self::Sr25519 => "Sr25519",
            Self::Development { .. } => "Development",
        })
    }
}

/// Why a signed request is not believed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum AuthError {
    /// Headers are missing, empty or too long (422).
    #[error("missing or malformed signature headers")]
    Headers(Vec<FieldError>),
    /// The hotkey is none (422).
    #[error("invalid hotkey: {0}")]
    Hotkey(#[source] HotkeyError),
    /// The nonce has characters that could be confused with the message around it (400).
    #[error("invalid nonce")]
    Nonce,
    /// The timestamp is no whole number of seconds (400).
    #[error("invalid timestamp")]
    Timestamp,
    /// The timestamp is outside the window (401).
    #[error("stale signature")]
    Stale,
    /// The signature does not fit (401).
    #[error("invalid signature")]
    Signature,
}

impl AuthError {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Headers(_) => "signature-missing",
            Self::Hotkey(fault) => fault.code(),
            Self::Nonce => "nonce-invalid",
            Self::Timestamp => "timestamp-invalid",
            Self::Stale => "signature-stale",
            Self::Signature => "signature-invalid",
        }
    }
}

impl SignedHeaders {
    /// Checks presence and length of all headers, then the syntax of each. Needs no body.
    pub fn parse(headers: UnparsedHeaders<'_>) -> Result<Self, AuthError> {
        let mut errors = Vec::new();
        let mut take =
            |name: &str, value: Option<&[u8]>, max_chars: Option<usize>| match check_header(
                name, value, max_chars,
            ) {
                Ok(text) => text,
                Err(error) => {
                    errors.push(error);
                    String::new()
                }
            };
        let hotkey = take("x-hotkey", headers.hotkey, Some(HEADER_CHARS));
        let signature = take("x-signature", headers.signature, None);
        let nonce = take("x-nonce", headers.nonce, Some(HEADER_CHARS));
        let timestamp = take("x-timestamp", headers.timestamp, None);
        if !errors.is_empty() {
            return Err(AuthError::Headers(errors));
        }
        let timestamp_s = parse_timestamp(&timestamp).ok_or(AuthError::Timestamp)?;
        let hotkey = parse_hotkey(&hotkey).map_err(AuthError::Hotkey)?;
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        if !nonce.chars().all(plain) {
            return Err(AuthError::Nonce);
        }
        Ok(Self { hotkey, nonce, timestamp_s, timestamp, signature })
    }

    /// Checks that the request is at most `window_s` seconds from `now_s`, both ends included.
    pub const fn check_window(&self, now_s: u64, window_s: u64) -> Result<(), AuthError> {
        if self.timestamp_s.abs_diff(now_s) > window_s { Err(AuthError::Stale) } else { Ok(()) }
    }

    /// Checks the signature over the raw body, in constant time as to secrets.
    pub fn verify(&self, body: &[u8], scheme: &SignatureScheme) -> Result<(), AuthError> {
        let message = canonical_message(&self.hotkey, &self.nonce, &self.timestamp, body);
        let verified = match scheme {
            SignatureScheme::Sr25519 => self.is_sr25519(&message),
            SignatureScheme::Development { key } => {
                self.is_hmac(&message, key) || self.is_sr25519(&message)
            }
        };
        if verified { Ok(()) } else { Err(AuthError::Signature) }
    }

    fn is_sr25519(&self, message: &[u8]) -> bool {
        let digits = self.signature.strip_prefix("0x").unwrap_or(&self.signature);
        let mut bytes = [0; SIGNATURE_BYTES];
        if hex::decode_to_slice(digits, &mut bytes).is_err() {
            return false;
        }
        let key = public_key_of(&self.hotkey).and_then(|key| PublicKey::from_bytes(&key).ok());
        let signature = Signature::from_bytes(&bytes).ok();
        key.zip(signature).is_some_and(|(key, signature)| {
            key.verify_simple(SIGNING_CONTEXT, message, &signature).is_ok()
        })
    }

    fn is_hmac(&self, message: &[u8], key: &[u8]) -> bool {
        let digits = self.signature.strip_prefix("sha256=").unwrap_or(&self.signature);
        let Ok(tag) = hex::decode(digits) else { return false };
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return false };
        mac.update(message);
        !key.is_empty() && mac.verify_slice(&tag).is_ok()
    }
}

/// The message that a miner signs. `timestamp` is the header as sent.
pub fn canonical_message(hotkey: &str, nonce: &str, timestamp: &str, body: &[u8]) -> Vec<u8> {
    let digest = hex::encode(Sha256::digest(body));
    format!("prism:{hotkey}:{nonce}:{timestamp}:{digest}").into_bytes()
}

/// A present header as text of 1 to `max_chars` characters. Bytes that are not UTF-8 become
/// replacement characters, which no later check lets through.
fn check_header(
    name: &str,
    value: Option<&[u8]>,
    max_chars: Option<usize>,
) -> Result<String, FieldError> {
    let loc = ["header", name];
    let Some(value) = value else { return Err(FieldError::missing(&loc, &Value::Null)) };
    let text = String::from_utf8_lossy(value).into_owned();
    if text.is_empty() {
        return Err(FieldError::too_short(&loc));
    }
    match max_chars {
        Some(max) if text.chars().count() > max => {
            Err(FieldError::too_long(&loc, max, &json!(text)))
        }
        _ => Ok(text.chars().take(SIGNATURE_CHARS).collect()),
    }
}

/// Whole seconds since 1970 in decimal, with single underscores between digits and one plus sign
/// allowed, as the predecessor's parser had it. Negative times are no times of a request.
fn parse_timestamp(text: &str) -> Option<u64> {
    if text.len() > TIMESTAMP_CHARS {
        return None;
    }
    let digits = text.strip_prefix('+').unwrap_or(text);
    let groups_are_digits = digits
        .split('_')
        .all(|group| !group.is_empty() && group.bytes().all(|b| b.is_ascii_digit()));
    if !groups_are_digits {
        return None;
    }
    digits.replace('_', "").parse().ok()
}
