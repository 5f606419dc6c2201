//! Signatures of components. The vector was made with OpenSSL, so that ours cannot be right only by its own
//! measure.

#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a test may fail")]

use prism_domain::ids::Digest;
use prism_domain::policy::Slot;
use prism_intake::{
    ComponentSignature, ComponentSignatureError as Refused, PolicyKeyError, PolicyKeys,
    PolicySigner, component_statement,
};

const SEED: &str = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
const PUBLIC: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
const PUBLIC_BASE64: &str = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
/// Of the component `component` for the rewards slot.
const SIGNATURE: &str = "5043f36880df34631159968a87fe4fae7c14fc4e5128fb76a6ecb8b106a8c3641b12ea044476ce75c7909adc716370cd705a7ba5b5fc803dde72753713dad004";

fn keys(named: &[(&str, &str)]) -> Result<PolicyKeys, PolicyKeyError> {
    let owned: Vec<_> = named.iter().map(|(name, key)| ((*name).into(), (*key).into())).collect();
    PolicyKeys::parse(&owned)
}

fn component() -> Digest {
    Digest::of(b"component")
}

#[test]
fn statement_names_purpose_slot_and_bytes() {
    let text = String::from_utf8(component_statement(Slot::Rewards, component())).expect("text");
    let expected = format!("prism:component-push:v1\nslot:rewards\nsha256:{}\n", component());
    assert_eq!(text, expected);
}

#[test]
fn signature_of_another_program_is_ours_too() {
    let signer = PolicySigner::parse(&format!("olga:{SEED}\n")).expect("a key");
    assert_eq!((signer.name(), signer.public_key().as_str()), ("olga", PUBLIC));
    let made = signer.sign(Slot::Rewards, component()).to_string();
    assert_eq!(made, format!("olga:{SIGNATURE}"));
    for public in [PUBLIC, PUBLIC_BASE64] {
        let given = ComponentSignature::parse(&made).expect("a signature");
        let known = keys(&[("eve", PUBLIC), ("olga", public)]).expect("keys");
        let verified = known.verify(&given, &Slot::ALL, component()).expect("it fits");
        assert_eq!((verified.slot, verified.key_name.as_str()), (Slot::Rewards, "olga"));
        assert_eq!((verified.key.as_str(), verified.signature.as_str()), (PUBLIC, SIGNATURE));
    }
}

#[test]
fn signature_counts_for_its_bytes_its_slot_and_its_key_alone() {
    let signer = PolicySigner::from_seed("olga", &[7; 32]).expect("a key");
    let known = keys(&[("olga", &signer.public_key()), ("eve", PUBLIC)]).expect("keys");
    let given = signer.sign(Slot::Review, component());
    let mismatch = |outcome: Result<_, Refused>| {
        matches!(outcome, Err(Refused::Mismatch { .. })).then_some(()).expect("refused");
    };
    known.verify(&given, &[Slot::Review], component()).expect("it fits");
    mismatch(known.verify(&given, &[Slot::Rewards], component()));
    mismatch(known.verify(&given, &Slot::ALL, Digest::of(b"other")));
    let text = given.to_string();
    let as_eve = ComponentSignature::parse(&text.replace("olga", "eve")).expect("a signature");
    mismatch(known.verify(&as_eve, &Slot::ALL, component()));
    let as_nobody = ComponentSignature::parse(&text.replace("olga", "nobody")).expect("one");
    assert_eq!(
        known.verify(&as_nobody, &Slot::ALL, component()),
        Err(Refused::UnknownKey("nobody".to_owned()))
    );
    let last = u8::from(text.ends_with('0'));
    let flipped = format!("{}{last}", text.strip_suffix(|_: char| true).expect("some text"));
    let flipped = ComponentSignature::parse(&flipped).expect("a signature");
    mismatch(known.verify(&flipped, &Slot::ALL, component()));
}

#[test]
fn text_that_is_no_signature_or_no_key_is_refused() {
    for text in
        ["", "olga", "olga:", "olga:zz", &format!(":{SIGNATURE}"), &format!("o l:{SIGNATURE}")]
    {
        assert_eq!(ComponentSignature::parse(text), Err(Refused::Malformed), "{text}");
    }
    let refused = |named: &[(&str, &str)]| keys(named).map(|_keys| ()).expect_err("refused");
    assert_eq!(refused(&[("", PUBLIC)]), PolicyKeyError::Name(String::new()));
    assert_eq!(refused(&[("a", PUBLIC), ("a", PUBLIC)]), PolicyKeyError::Twice("a".into()));
    let short = PUBLIC.replacen("d7", "", 1);
    assert_eq!(refused(&[("a", &short)]), PolicyKeyError::Key("a".into()));
    // The neutral element: every signature with R equal to it would fit.
    let weak = format!("01{}", "00".repeat(31));
    assert_eq!(refused(&[("a", &weak)]), PolicyKeyError::Key("a".into()));
    assert!(PolicySigner::parse("olga:abc").is_err() && PolicySigner::parse(SEED).is_err());
}
