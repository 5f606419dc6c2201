//! Hotkeys. On the network a hotkey is an SS58 address with the generic prefix 42, and whatever
//! looks like an address must be a right one. Short plain names serve tests and demonstrations.

use blake2::{Blake2b512, Digest};

/// Most characters of a hotkey.
const CHARS: usize = 128;
/// How long addresses are, in characters, whatever their network.
const ADDRESS_CHARS: std::ops::RangeInclusive<usize> = 46..=50;
const GENERIC_PREFIX: u8 = 42;
const KEY_BYTES: usize = 32;
const CHECKSUM_BYTES: usize = 2;

/// Why a text is not a hotkey.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HotkeyError {
    /// Nothing at all.
    #[error("the hotkey is empty")]
    Empty,
    /// More than 128 characters.
    #[error("the hotkey is longer than 128 characters")]
    TooLong,
    /// A character outside `[A-Za-z0-9_.-]`.
    #[error("the hotkey contains a character other than letters, digits, `_`, `.` and `-`")]
    Character,
    /// A raw public key in hex.
    #[error("the hotkey is a public key in hex, an SS58 address is needed")]
    Hex,
    /// Like an address, but not base58 of the right length.
    #[error("the hotkey looks like an SS58 address but is none")]
    NotSs58,
    /// The address of another network.
    #[error("the hotkey is an address of another network, the prefix 42 is needed")]
    Prefix,
    /// An address with a typing error.
    #[error("the checksum of the hotkey is wrong")]
    Checksum,
}

impl HotkeyError {
    /// The stable code.
    pub const fn code(self) -> &'static str {
        "hotkey-invalid"
    }
}

/// Checks a hotkey and gives it back.
///
/// A hotkey is 1 to 128 characters of `[A-Za-z0-9_.-]`. One of 46 to 50 letters and digits must be
/// an SS58 address with prefix 42 and the right checksum; 64 hex digits, or hex after `0x`, are
/// refused.
pub fn parse_hotkey(text: &str) -> Result<String, HotkeyError> {
    if text.is_empty() {
        return Err(HotkeyError::Empty);
    }
    if text.chars().count() > CHARS {
        return Err(HotkeyError::TooLong);
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    if !text.chars().all(plain) {
        return Err(HotkeyError::Character);
    }
    let hex = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_hexdigit());
    let prefixed = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    if prefixed.is_some_and(hex) || (text.len() == 2 * KEY_BYTES && hex(text)) {
        return Err(HotkeyError::Hex);
    }
    if looks_like_address(text) {
        decode_address(text)?;
    }
    Ok(text.to_owned())
}

/// The sr25519 public key of a hotkey, `None` for a plain name.
pub fn public_key_of(hotkey: &str) -> Option<[u8; KEY_BYTES]> {
    if looks_like_address(hotkey) { decode_address(hotkey).ok() } else { None }
}

fn looks_like_address(text: &str) -> bool {
    ADDRESS_CHARS.contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric())
}

fn decode_address(text: &str) -> Result<[u8; KEY_BYTES], HotkeyError> {
    let decoded = bs58::decode(text).into_vec().map_err(|_not_base58| HotkeyError::NotSs58)?;
    let Some((payload, checksum)) = decoded.split_last_chunk::<CHECKSUM_BYTES>() else {
        return Err(HotkeyError::NotSs58);
    };
    let digest = Blake2b512::new().chain_update(b"SS58PRE").chain_update(payload).finalize();
    if !digest.starts_with(checksum) {
        return Err(HotkeyError::Checksum);
    }
    let Some((&prefix, key)) = payload.split_first() else { return Err(HotkeyError::NotSs58) };
    if prefix != GENERIC_PREFIX {
        return Err(HotkeyError::Prefix);
    }
    key.try_into().map_err(|_length| HotkeyError::NotSs58)
}
