//! Settings about the language model that reviews may ask, and the operator's rules in words.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use prism_domain::consult::{WRITTEN_RULES_MAX, WrittenRule};
use prism_llm::{ClientConfig, Key};
use serde::Deserialize;

use super::parse::{Reader, within};
use super::secret::{SharedToken, TokenSource};
use super::{ConfigError, ConfigFile};

/// The name of the section in complaints.
const SECTION: &str = "llm";
/// The name of the rules in complaints.
const RULES: &str = "subnet_rules";
/// The longest try when nothing is said, seconds: a model that reasons takes a minute or two.
const TIMEOUT_SECONDS: u64 = 180;
/// Tries when nothing is said.
const TRIES: u32 = 3;
/// The longest question when nothing is said, bytes: near 130,000 tokens of code.
const INPUT_MAX_BYTES: u32 = 400_000;
/// Reviews at the same time when nothing is said.
const REVIEWS: usize = 4;

/// The section of the file; what is left out has its default.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct LlmFile {
    url: Option<String>,
    model: Option<String>,
    key_file: Option<std::path::PathBuf>,
    timeout_seconds: Option<u64>,
    tries: Option<u32>,
    tokens_per_day: Option<u64>,
    input_max_bytes: Option<u32>,
    reviews: Option<usize>,
}

/// The model and the rules.
#[derive(Clone)]
pub(crate) struct LlmTerms {
    /// The endpoint; none where none is set up.
    pub endpoint: Option<ClientConfig>,
    /// Tokens that may be paid for within a day; none for as many as are needed.
    pub tokens_per_day: Option<u64>,
    /// Reviews at the same time.
    pub reviews: usize,
    /// The operator's rules in words.
    pub rules: Vec<WrittenRule>,
}

impl fmt::Debug for LlmTerms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LlmTerms").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

/// What the environment and the file say.
pub(super) fn terms(read: &Reader<'_>, file: &mut ConfigFile) -> Result<LlmTerms, ConfigError> {
    let section = std::mem::take(&mut file.llm);
    let url = read.text(&["PRISM_LLM_URL"]).or(section.url);
    let model = read.text(&["PRISM_LLM_MODEL"]).or(section.model);
    let timeout = read.number(SECTION, &["PRISM_LLM_TIMEOUT_SECONDS"])?.or(section.timeout_seconds);
    let tries = read.number(SECTION, &["PRISM_LLM_TRIES"])?.or(section.tries).unwrap_or(TRIES);
    let input = read.number(SECTION, &["PRISM_LLM_INPUT_MAX_BYTES"])?.or(section.input_max_bytes);
    let reviews = read.number(SECTION, &["PRISM_LLM_REVIEWS"])?.or(section.reviews);
    let key = read
        .text(&["PRISM_LLM_KEY"])
        .map(TokenSource::Value)
        .or_else(|| read.path(&["PRISM_LLM_KEY_FILE"]).or(section.key_file).map(TokenSource::File));
    let endpoint = match (url, model) {
        (None, None) => None,
        (Some(base_url), Some(model)) => Some(ClientConfig {
            base_url,
            model,
            key: key_of(key),
            timeout: Duration::from_secs(within(
                SECTION,
                timeout.unwrap_or(TIMEOUT_SECONDS),
                &(1..=3_600),
            )?),
            tries: within(SECTION, tries, &(1..=20))?,
            input_max_bytes: within(
                SECTION,
                input.unwrap_or(INPUT_MAX_BYTES),
                &(16_384..=16 << 20),
            )?,
        }),
        _ => {
            let message = "an endpoint needs both an address and the name of a model".to_owned();
            return Err(ConfigError::Value { name: SECTION, message });
        }
    };
    let several = if endpoint.is_some() { REVIEWS } else { 1 };
    Ok(LlmTerms {
        endpoint,
        tokens_per_day: read
            .number(SECTION, &["PRISM_LLM_TOKENS_PER_DAY"])?
            .or(section.tokens_per_day),
        reviews: within(SECTION, reviews.unwrap_or(several), &(1..=64))?,
        rules: rules(read, file)?,
    })
}

fn key_of(source: Option<TokenSource>) -> Key {
    let token = source.map(SharedToken::new);
    Arc::new(move || token.as_ref().and_then(SharedToken::load))
}

/// The rules in words: JSON in the environment, or in a file that the environment or the settings name.
fn rules(read: &Reader<'_>, file: &ConfigFile) -> Result<Vec<WrittenRule>, ConfigError> {
    let wrong = |message: String| ConfigError::Value { name: RULES, message };
    let named = read.path(&["PRISM_SUBNET_RULES_FILE"]).or_else(|| file.subnet_rules_file.clone());
    let text = match (read.text(&["PRISM_SUBNET_RULES_JSON"]), named) {
        (Some(text), _) => text,
        (None, Some(path)) => content(&path)?,
        (None, None) => return Ok(Vec::new()),
    };
    parsed(&text).map_err(wrong)
}

fn content(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path)
        .map_err(|source| ConfigError::Read { path: path.to_owned(), source })
}

/// A list of rules, or an object with one under `rules`. A rule is a text, or an object with `text` and, if it likes, `id`.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    List(Vec<Rule>),
    Object { rules: Vec<Rule> },
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Rule {
    Text(String),
    Named {
        #[serde(default)]
        id: Option<String>,
        #[serde(alias = "rule", alias = "description")]
        text: String,
    },
}

fn parsed(text: &str) -> Result<Vec<WrittenRule>, String> {
    let written: Written = serde_json::from_str(text).map_err(|_source| {
        "it is no JSON list of texts or of objects with `text` and `id`".to_owned()
    })?;
    let (Written::List(written) | Written::Object { rules: written }) = written;
    if written.len() > WRITTEN_RULES_MAX {
        return Err(format!("{} rules, at most {WRITTEN_RULES_MAX}", written.len()));
    }
    let mut rules: Vec<WrittenRule> = Vec::with_capacity(written.len());
    for (place, rule) in written.into_iter().enumerate() {
        let (id, text) = match rule {
            Rule::Text(text) => (None, text),
            Rule::Named { id, text } => (id, text),
        };
        let rule = WrittenRule::new(id.unwrap_or_else(|| format!("RULE-{}", place + 1)), text)?;
        if rules.iter().any(|other| other.id == rule.id) {
            return Err(format!("two rules are called `{}`", rule.id));
        }
        rules.push(rule);
    }
    Ok(rules)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(env: &[(&str, &str)]) -> Result<LlmTerms, ConfigError> {
        let look = |name: &str| {
            env.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        };
        terms(&Reader::new(&look), &mut ConfigFile::default())
    }

    #[test]
    fn rules_come_as_texts_or_with_names() {
        let of =
            |json: &str| resolved(&[("PRISM_SUBNET_RULES_JSON", json)]).map(|terms| terms.rules);
        let rules = of(r#"["be kind", {"id": "NO-TABLES", "text": "no tables"}]"#).expect("valid");
        let told: Vec<_> =
            rules.iter().map(|rule| (rule.id.as_str(), rule.text.as_str())).collect();
        assert_eq!(told, [("RULE-1", "be kind"), ("NO-TABLES", "no tables")]);
        assert_eq!(of(r#"{"rules": [{"rule": "x"}]}"#).expect("valid").len(), 1);
        for wrong in [
            "{}",
            "[1]",
            "nothing",
            r#"[{"id":"a","text":"x"}]"#,
            r#"["x",{"id":"RULE-1","text":"y"}]"#,
        ] {
            assert!(of(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_endpoint_is_whole_or_absent_and_shows_no_key() {
        assert!(resolved(&[]).expect("valid").endpoint.is_none());
        assert!(resolved(&[("PRISM_LLM_URL", "http://x")]).is_err());
        let whole = [
            ("PRISM_LLM_URL", "http://x/v1"),
            ("PRISM_LLM_MODEL", "m"),
            ("PRISM_LLM_KEY", "hush-hush"),
        ];
        let terms = resolved(&whole).expect("valid");
        assert!(!format!("{terms:?}").contains("hush"));
        let endpoint = terms.endpoint.expect("whole");
        assert_eq!((endpoint.key)().as_deref(), Some("hush-hush"));
        assert_eq!(terms.reviews, REVIEWS);
    }
}
