//! Secrets blacked out: what a miner left in his project is not handed to a third party, and what a model repeats is not
//! shown. Only forms that are secrets beyond doubt: what is blacked out is not reviewed, and must not become a hiding place.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::{Captures, Regex};

/// Kind and form.
const FORMS: [(&str, &str); 9] = [
    (
        "private key",
        r"-----BEGIN [A-Z ]*PRIVATE KEY-----[A-Za-z0-9+/=\s]{1,8192}-----END [A-Z ]*PRIVATE KEY-----",
    ),
    ("API key", r"\bsk-[A-Za-z0-9_-]{20,200}"),
    ("AWS key", r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    ("GitHub token", r"\b(?:gh[pousr]_[A-Za-z0-9]{30,200}|github_pat_[A-Za-z0-9_]{30,200})"),
    ("Slack token", r"\bxox[abeprs]-[A-Za-z0-9-]{10,200}"),
    ("Google key", r"\bAIza[0-9A-Za-z_-]{35}"),
    ("Hugging Face token", r"\bhf_[A-Za-z0-9]{30,100}"),
    (
        "JSON web token",
        r"\beyJ[A-Za-z0-9_-]{10,2000}\.eyJ[A-Za-z0-9_-]{10,4000}\.[A-Za-z0-9_-]{10,2000}",
    ),
    (
        "password in an address",
        r"[a-z][a-z0-9+.-]{1,20}://[^\s/:@'\x22]{1,100}:[^\s/@'\x22]{1,200}@",
    ),
];

/// None where a form does not compile, which the tests would show.
static PATTERNS: LazyLock<Vec<(&str, Regex)>> = LazyLock::new(|| {
    FORMS.iter().filter_map(|(kind, form)| Some((*kind, Regex::new(form).ok()?))).collect()
});

/// The text with every secret replaced by what kind it is and how long.
pub fn redacted(text: &str) -> String {
    let mut text = Cow::Borrowed(text);
    for (kind, pattern) in PATTERNS.iter() {
        let shown = pattern.replace_all(&text, |found: &Captures<'_>| {
            let length = found.get(0).map_or(0, |whole| whole.len());
            format!("[{kind} of {length} characters blacked out]")
        });
        text = Cow::Owned(shown.into_owned());
    }
    text.into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_blacked_out_and_code_is_not() {
        assert_eq!(PATTERNS.len(), FORMS.len());
        let letters = "aB3".repeat(20);
        for secret in [
            format!("sk-proj-{letters}"),
            "AKIAABCDEFGHIJKLMNOP".to_owned(),
            format!("ghp_{letters}"),
            format!("hf_{letters}"),
            format!("xoxb-{letters}"),
            format!("eyJ{letters}.eyJ{letters}.{letters}"),
            format!("-----BEGIN RSA PRIVATE KEY-----\n{letters}\n-----END RSA PRIVATE KEY-----"),
            "postgres://user:hunter2hunter2@".to_owned(),
        ] {
            let shown = redacted(&format!("x = \"{secret}\"  # mine"));
            assert!(!shown.contains(&letters) && !shown.contains("hunter2"), "{shown}");
            assert!(shown.starts_with("x = \"[") && shown.ends_with("\"  # mine"), "{shown}");
        }
        for code in [
            "mask = task_weight[sk - 1] if sk-learn else hf_model",
            "token = \"<|endoftext|>\"\nsecret_dim = 64",
            "url = \"https://arxiv.org/abs/2312.00752\"",
        ] {
            assert_eq!(redacted(code), code);
        }
    }
}
