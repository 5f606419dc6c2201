//! Signatures of policy components: ed25519 over a statement that says for which slot which bytes are
//! meant. What is signed for one slot, or for another purpose, is worth nothing elsewhere.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use prism_domain::ids::Digest;
use prism_domain::policy::Slot;

/// First line of a statement. Nothing else that PRISM signs or verifies begins so.
const PURPOSE: &str = "prism:component-push:v1";
/// Bytes of a key, public or private.
const KEY_BYTES: usize = 32;
/// Longest name of a key, bytes.
const NAME_MAX_BYTES: usize = 64;

/// A component is not believed to come from whom it should.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ComponentSignatureError {
    /// The text is no signature.
    #[error("a signature is `NAME:` and 128 hex digits, as `prism policy sign` prints it")]
    Malformed,
    /// Nobody of that name may sign here.
    #[error("no key is named `{0}` in the setting `policy_keys`")]
    UnknownKey(String),
    /// The key did not sign these bytes for that slot.
    #[error("the key `{key}` did not sign these bytes for {wanted}")]
    Mismatch {
        /// Name of the key.
        key: String,
        /// The slot, or all of them.
        wanted: String,
    },
}

/// A key cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyKeyError {
    /// The name cannot be one.
    #[error("the name of a key is 1 to {NAME_MAX_BYTES} of `A-Z a-z 0-9 _ . -`, not `{0}`")]
    Name(String),
    /// Two keys of one name could be mistaken for each other.
    #[error("two keys are named `{0}`")]
    Twice(String),
    /// The text is no key.
    #[error("the key `{0}` is not 32 bytes as hex or base64, or no point of the curve")]
    Key(String),
}

/// What is signed: three lines, each ended by a line feed.
///
/// ```text
/// prism:component-push:v1
/// slot:rewards
/// sha256:<of the component's bytes, 64 lower-case hex digits>
/// ```
pub fn component_statement(slot: Slot, component: Digest) -> Vec<u8> {
    format!("{PURPOSE}\nslot:{}\nsha256:{component}\n", slot.as_str()).into_bytes()
}

/// A signature and the name of the key that is said to have made it: `NAME:` and 128 hex digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComponentSignature {
    key: String,
    signature: Signature,
}

impl ComponentSignature {
    /// Reads the one form that there is.
    pub fn parse(text: &str) -> Result<Self, ComponentSignatureError> {
        let (key, digits) = text.split_once(':').ok_or(ComponentSignatureError::Malformed)?;
        let mut bytes = [0; Signature::BYTE_SIZE];
        hex::decode_to_slice(digits, &mut bytes)
            .map_err(|_not_hex| ComponentSignatureError::Malformed)?;
        if !is_name(key) {
            return Err(ComponentSignatureError::Malformed);
        }
        Ok(Self { key: key.to_owned(), signature: Signature::from_bytes(&bytes) })
    }
}

impl std::fmt::Display for ComponentSignature {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.key, hex::encode(self.signature.to_bytes()))
    }
}

/// A signature that was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedSignature {
    /// The slot that the signature is for.
    pub slot: Slot,
    /// Name of the key.
    pub key_name: String,
    /// The public key, hex.
    pub key: String,
    /// The signature, hex.
    pub signature: String,
}

/// Whose signatures count.
#[derive(Debug, Clone, Default)]
pub struct PolicyKeys(Vec<(String, VerifyingKey)>);

impl PolicyKeys {
    /// Reads names and public keys, each 32 bytes as hex or base64.
    pub fn parse(named: &[(String, String)]) -> Result<Self, PolicyKeyError> {
        let mut keys: Vec<(String, VerifyingKey)> = Vec::with_capacity(named.len());
        for (name, text) in named {
            if !is_name(name) {
                return Err(PolicyKeyError::Name(name.clone()));
            }
            if keys.iter().any(|(known, _)| known == name) {
                return Err(PolicyKeyError::Twice(name.clone()));
            }
            let key = bytes_of(text).and_then(|bytes| VerifyingKey::from_bytes(&bytes).ok());
            // Under a key of small order a signature can fit many messages.
            let key = key.filter(|key| !key.is_weak());
            keys.push((name.clone(), key.ok_or_else(|| PolicyKeyError::Key(name.clone()))?));
        }
        Ok(Self(keys))
    }

    /// Finds the slot, among those that the caller asks about, for which the signature was made.
    pub fn verify(
        &self,
        given: &ComponentSignature,
        slots: &[Slot],
        component: Digest,
    ) -> Result<VerifiedSignature, ComponentSignatureError> {
        let ComponentSignature { key: name, signature } = given;
        let (_, key) = self
            .0
            .iter()
            .find(|(known, _)| known == name)
            .ok_or_else(|| ComponentSignatureError::UnknownKey(name.clone()))?;
        let made_for = |slot: &&Slot| {
            key.verify_strict(&component_statement(**slot, component), signature).is_ok()
        };
        let slot = slots.iter().find(made_for).ok_or_else(|| {
            let wanted = match slots {
                [slot] => format!("the slot `{}`", slot.as_str()),
                _ => "any slot".to_owned(),
            };
            ComponentSignatureError::Mismatch { key: name.clone(), wanted }
        })?;
        Ok(VerifiedSignature {
            slot: *slot,
            key_name: name.clone(),
            key: hex::encode(key.as_bytes()),
            signature: hex::encode(signature.to_bytes()),
        })
    }
}

/// A private key and its name. As text: `NAME:` and 64 hex digits.
#[derive(Clone)]
pub struct PolicySigner {
    name: String,
    key: SigningKey,
}

impl PolicySigner {
    /// Makes a key from 32 random bytes.
    pub fn from_seed(name: &str, seed: &[u8; KEY_BYTES]) -> Result<Self, PolicyKeyError> {
        if !is_name(name) {
            return Err(PolicyKeyError::Name(name.to_owned()));
        }
        Ok(Self { name: name.to_owned(), key: SigningKey::from_bytes(seed) })
    }

    /// Reads what [`PolicySigner::secret_text`] gave.
    pub fn parse(text: &str) -> Result<Self, PolicyKeyError> {
        let (name, digits) = text.trim().split_once(':').unwrap_or((text, ""));
        let seed = bytes_of(digits).ok_or_else(|| PolicyKeyError::Key("private".to_owned()))?;
        Self::from_seed(name, &seed)
    }

    /// The key as text, for a file that nobody else can read.
    pub fn secret_text(&self) -> String {
        format!("{}:{}\n", self.name, hex::encode(self.key.to_bytes()))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The public key, hex.
    pub fn public_key(&self) -> String {
        hex::encode(self.key.verifying_key().as_bytes())
    }

    /// Signs a component for a slot.
    pub fn sign(&self, slot: Slot, component: Digest) -> ComponentSignature {
        let signature = self.key.sign(&component_statement(slot, component));
        ComponentSignature { key: self.name.clone(), signature }
    }
}

impl std::fmt::Debug for PolicySigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PolicySigner").field("name", &self.name).finish_non_exhaustive()
    }
}

fn is_name(name: &str) -> bool {
    (1..=NAME_MAX_BYTES).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

/// 32 bytes from hex or base64; the two cannot be confused, for they differ in length.
fn bytes_of(text: &str) -> Option<[u8; KEY_BYTES]> {
    let bytes = hex::decode(text).ok().or_else(|| STANDARD.decode(text).ok())?;
    bytes.try_into().ok()
}
