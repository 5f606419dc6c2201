//! Hotkeys and signed requests. The first vector was made with the library that miners' wallets
//! use, so that ours cannot be right only by its own measure.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test may fail"
)]

use prism_intake::{
    AuthError, HotkeyError, SIGNATURE_WINDOW_S, SignatureScheme, SignedHeaders, UnparsedHeaders,
    canonical_message, parse_hotkey, public_key_of,
};
use schnorrkel::{ExpansionMode, Keypair, MiniSecretKey};

const BODY: &[u8] = b"{\"code\":\"x = 1\\n\"}";
const HOTKEY: &str = "5HB7kpn92RS7uF9uWn8bXSvPVKFPg8kPUFDd5sbveGjX6Dbi";
const NONCE: &str = "nonce-0001";
const TIMESTAMP: &str = "1700000000";
const SIGNATURE: &str = "d80e470c28afd0dc5877b33b47bdb568ec5adbd3dd37ba2be6bdd7061fd1fe7479b63d26d80f8410e83649f479f91d4fbf839b85572899c81d10780667419c8c";
const WRAPPED_SIGNATURE: &str = "de88fc7d3bd9fac99db613a2a1a9b82331983eb9aeb9530eeeb0439df82a2d16ae212e144edd56fcb8aa2b5724b5943d19cbb144b78922c3ddf492a452205f87";

fn headers<'a>(
    hotkey: &'a str,
    signature: &'a str,
    nonce: &'a str,
    timestamp: &'a str,
) -> UnparsedHeaders<'a> {
    UnparsedHeaders {
        hotkey: Some(hotkey.as_bytes()),
        signature: Some(signature.as_bytes()),
        nonce: Some(nonce.as_bytes()),
        timestamp: Some(timestamp.as_bytes()),
    }
}

fn verify(signature: &str, body: &[u8], scheme: &SignatureScheme) -> Result<(), AuthError> {
    SignedHeaders::parse(headers(HOTKEY, signature, NONCE, TIMESTAMP))?.verify(body, scheme)
}

fn address(prefix: u8, key: &[u8]) -> String {
    use blake2::Digest;
    let payload = [&[prefix], key].concat();
    let digest =
        blake2::Blake2b512::new().chain_update(b"SS58PRE").chain_update(&payload).finalize();
    bs58::encode([&payload[..], &digest[..2]].concat()).into_string()
}

fn keypair(seed: u8) -> Keypair {
    MiniSecretKey::from_bytes(&[seed; 32]).unwrap().expand_to_keypair(ExpansionMode::Ed25519)
}

#[test]
fn a_wallet_signature_is_verified() {
    let scheme = SignatureScheme::Sr25519;
    assert_eq!(verify(SIGNATURE, BODY, &scheme), Ok(()));
    assert_eq!(verify(&format!("0x{SIGNATURE}"), BODY, &scheme), Ok(()));
    assert_eq!(verify(&SIGNATURE.to_uppercase(), BODY, &scheme), Ok(()));
}

#[test]
fn any_change_spoils_the_signature() {
    let scheme = SignatureScheme::Sr25519;
    assert_eq!(verify(SIGNATURE, b"{}", &scheme), Err(AuthError::Signature));
    for (hotkey, nonce, timestamp) in [
        (address(42, &keypair(1).public.to_bytes()).as_str(), NONCE, TIMESTAMP),
        (HOTKEY, "nonce-0002", TIMESTAMP),
        (HOTKEY, NONCE, "1700000001"),
        (HOTKEY, NONCE, "1_700_000_000"),
        ("alice", NONCE, TIMESTAMP),
    ] {
        let parsed = SignedHeaders::parse(headers(hotkey, SIGNATURE, nonce, timestamp)).unwrap();
        assert_eq!(parsed.verify(BODY, &scheme), Err(AuthError::Signature));
    }
    for at in (0..SIGNATURE.len()).step_by(5) {
        let mut damaged = SIGNATURE.to_owned();
        let digit = if SIGNATURE[at..=at] == *"0" { "1" } else { "0" };
        damaged.replace_range(at..=at, digit);
        assert_eq!(verify(&damaged, BODY, &scheme), Err(AuthError::Signature), "digit {at}");
    }
}

/// The wrapper of browser wallets is not accepted: one message has one form.
#[test]
fn a_wrapped_message_is_refused() {
    assert_eq!(
        verify(WRAPPED_SIGNATURE, BODY, &SignatureScheme::Sr25519),
        Err(AuthError::Signature)
    );
}

#[test]
fn malformed_signatures_are_refused() {
    let long = "ab".repeat(5_000);
    for signature in
        ["x", "0x", "ä", "deadbeef", "sha256=", &long, &"0".repeat(128), &"f".repeat(128)]
    {
        for scheme in
            [SignatureScheme::Sr25519, SignatureScheme::Development { key: b"k".to_vec() }]
        {
            assert_eq!(
                verify(signature, BODY, &scheme),
                Err(AuthError::Signature),
                "{signature:.20}"
            );
        }
    }
    let not_text =
        UnparsedHeaders { signature: Some(b"\xff\xfe"), ..headers(HOTKEY, "", NONCE, TIMESTAMP) };
    let parsed = SignedHeaders::parse(not_text).unwrap();
    assert_eq!(parsed.verify(BODY, &SignatureScheme::Sr25519), Err(AuthError::Signature));
}

#[test]
fn our_own_signatures_are_verified() {
    for seed in 0..8 {
        let pair = keypair(seed);
        let hotkey = address(42, &pair.public.to_bytes());
        let message = canonical_message(&hotkey, NONCE, TIMESTAMP, BODY);
        let signature = hex::encode(pair.sign_simple(b"substrate", &message).to_bytes());
        let parsed = SignedHeaders::parse(headers(&hotkey, &signature, NONCE, TIMESTAMP)).unwrap();
        assert_eq!(parsed.verify(BODY, &SignatureScheme::Sr25519), Ok(()));
    }
}

#[test]
fn development_signatures_count_only_in_development() {
    use hmac::{KeyInit, Mac};
    let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(b"secret").unwrap();
    mac.update(&canonical_message("alice", NONCE, TIMESTAMP, BODY));
    let tag = hex::encode(mac.finalize().into_bytes());
    let development = |key: &[u8]| SignatureScheme::Development { key: key.to_vec() };
    for signature in [tag.clone(), format!("sha256={tag}")] {
        let parsed = SignedHeaders::parse(headers("alice", &signature, NONCE, TIMESTAMP)).unwrap();
        assert_eq!(parsed.verify(BODY, &development(b"secret")), Ok(()));
        assert_eq!(parsed.verify(BODY, &development(b"other")), Err(AuthError::Signature));
        assert_eq!(parsed.verify(b"", &development(b"secret")), Err(AuthError::Signature));
        assert_eq!(parsed.verify(BODY, &SignatureScheme::Sr25519), Err(AuthError::Signature));
    }
    // An unset key must not become a key that everybody knows.
    let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(b"").unwrap();
    mac.update(&canonical_message("alice", NONCE, TIMESTAMP, BODY));
    let tag = hex::encode(mac.finalize().into_bytes());
    let parsed = SignedHeaders::parse(headers("alice", &tag, NONCE, TIMESTAMP)).unwrap();
    assert_eq!(parsed.verify(BODY, &development(b"")), Err(AuthError::Signature));
    // A wallet's signature counts in development too.
    assert_eq!(verify(SIGNATURE, BODY, &development(b"secret")), Ok(()));
}

#[test]
fn missing_and_misshapen_headers_are_listed_in_order() {
    let Err(AuthError::Headers(errors)) = SignedHeaders::parse(UnparsedHeaders::default()) else {
        panic!("accepted")
    };
    let entries = serde_json::to_value(&errors).unwrap();
    let entry = |name: &str| serde_json::json!({"type": "missing", "loc": ["header", name], "msg": "Field required", "input": null});
    let expected: Vec<_> = ["x-hotkey", "x-signature", "x-nonce", "x-timestamp"].map(entry).into();
    assert_eq!(entries, serde_json::Value::Array(expected));

    let long = "n".repeat(129);
    let shape =
        |hotkey: &str, nonce: &str| match SignedHeaders::parse(headers(hotkey, "s", nonce, "1")) {
            Err(AuthError::Headers(errors)) => errors[0].kind,
            other => panic!("{other:?}"),
        };
    assert_eq!(shape("", "n"), "string_too_short");
    assert_eq!(shape("alice", &long), "string_too_long");
    assert_eq!(shape(&long, "n"), "string_too_long");
}

#[test]
fn timestamps_are_whole_seconds() {
    let parse = |timestamp: &str| SignedHeaders::parse(headers("alice", "s", "n", timestamp));
    for (text, seconds) in [("17", 17), ("1_7", 17), ("+17", 17), ("0017", 17), ("0", 0)] {
        assert_eq!(parse(text).unwrap().timestamp_s, seconds, "{text}");
    }
    let nines = "9".repeat(400);
    for text in [
        "1e9",
        "0x65",
        "-1",
        "NaN",
        "1700000000.5",
        "\u{661}\u{667}",
        "1__7",
        "_17",
        "17_",
        "+",
        "1 7",
        &nines,
        "99999999999999999999",
    ] {
        assert_eq!(parse(text), Err(AuthError::Timestamp), "{text:.20}");
    }
}

#[test]
fn nonces_cannot_reach_into_the_message() {
    let parse = |hotkey: &str, nonce: &str| SignedHeaders::parse(headers(hotkey, "s", nonce, "1"));
    for nonce in ["n", "trainer-e2e-1", "6f1c2a52-8f0e-4d7e-9d3e-0a1b2c3d4e5f", "A_b.9"] {
        assert!(parse("alice", nonce).is_ok(), "{nonce}");
    }
    for nonce in ["a:b", "a\nb", "a b", "\u{e9}", "a\0", "a/b"] {
        assert_eq!(parse("alice", nonce), Err(AuthError::Nonce), "{nonce:?}");
    }
    assert_eq!(parse("A:B", "n"), Err(AuthError::Hotkey(HotkeyError::Character)));
}

#[test]
fn the_window_is_closed_at_both_ends() {
    let parsed = SignedHeaders::parse(headers("alice", "s", "n", "1000")).unwrap();
    for (now, fresh) in
        [(700, true), (1_300, true), (699, false), (1_301, false), (u64::MAX, false)]
    {
        assert_eq!(parsed.check_window(now, SIGNATURE_WINDOW_S).is_ok(), fresh, "{now}");
    }
}

#[test]
fn addresses_are_checked_and_names_pass() {
    let alice = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY";
    let key = "d43593c715fdd31c61141abd04a99fd6822c8558854ccde39a5684e7a56da27d";
    assert_eq!(parse_hotkey(alice).as_deref(), Ok(alice));
    assert_eq!(public_key_of(alice).map(hex::encode).as_deref(), Some(key));
    let longest = "x".repeat(128);
    for name in ["alice", "miner-1", "a.b_c", "5", "trainer-e2e", &longest] {
        assert_eq!(parse_hotkey(name).as_deref(), Ok(name));
        assert_eq!(public_key_of(name), None);
    }
    let swapped = alice.replace("tQY", "QtY");
    let zero = alice.replacen('o', "0", 1);
    let polkadot = address(0, &[7; 32]);
    let other = address(2, &[7; 32]);
    let short_key = address(42, &[7; 31]);
    let newline = format!("{alice}\n");
    let look_alike = alice.replacen('a', "а", 1);
    for (text, fault) in [
        ("", HotkeyError::Empty),
        (&"x".repeat(129), HotkeyError::TooLong),
        (newline.as_str(), HotkeyError::Character),
        (&look_alike, HotkeyError::Character),
        ("a b", HotkeyError::Character),
        ("A:B", HotkeyError::Character),
        (key, HotkeyError::Hex),
        (&format!("0x{key}"), HotkeyError::Hex),
        (&swapped, HotkeyError::Checksum),
        (&zero, HotkeyError::NotSs58),
        (&polkadot, HotkeyError::Prefix),
        (&other, HotkeyError::Prefix),
        (&short_key, HotkeyError::NotSs58),
    ] {
        assert_eq!(parse_hotkey(text), Err(fault), "{text:.60}");
    }
}
