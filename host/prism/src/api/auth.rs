//! Who is asking: Platform by its shared token, people by their own. Decided from the headers alone, before any body is read.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use prism_domain::ids::Digest;
use subtle::ConstantTimeEq as _;

use super::problem::Problem;
use super::state::ApiState;

/// Who acts with Platform's own token.
const PLATFORM: &str = "platform";

/// The request comes from Platform (or an operator who holds its token).
pub(super) struct Internal;

impl FromRequestParts<ApiState> for Internal {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Problem> {
        check_token(&parts.headers, state, "invalid internal token")?;
        if let Some(slug) = platform_header(&parts.headers, "challenge-slug")
            && slug != state.settings.slug.as_bytes()
        {
            return Err(wrong_slug());
        }
        Ok(Self)
    }
}

/// The same for the weights route, which also needs the slug.
pub(super) struct InternalWithSlug;

impl FromRequestParts<ApiState> for InternalWithSlug {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Problem> {
        check_token(&parts.headers, state, "Invalid internal authorization")?;
        let slug = platform_header(&parts.headers, "challenge-slug");
        if slug == Some(state.settings.slug.as_bytes()) { Ok(Self) } else { Err(wrong_slug()) }
    }
}

/// What somebody who is known by a token may do. Each scope includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Scope {
    /// Read.
    Viewer,
    /// Upload components and compose sets.
    Researcher,
    /// Put sets in force.
    Operator,
}

/// Somebody who is known by a token.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    /// Their name, as the log of policies tells it.
    pub(super) name: String,
    scope: Scope,
}

/// May read what there is about policies.
pub(super) struct Viewer;
/// May upload and compose.
pub(super) struct Researcher(pub(super) Caller);
/// May put sets in force.
pub(super) struct Operator(pub(super) Caller);

impl FromRequestParts<ApiState> for Viewer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Problem> {
        known_caller(&parts.headers, state, Scope::Viewer).map(|_caller| Self)
    }
}

impl FromRequestParts<ApiState> for Researcher {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Problem> {
        known_caller(&parts.headers, state, Scope::Researcher).map(Self)
    }
}

impl FromRequestParts<ApiState> for Operator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Problem> {
        known_caller(&parts.headers, state, Scope::Operator).map(Self)
    }
}

/// Whose token it is: Platform's own may do everything, others what the settings say. All of them are
/// compared, so that the time tells nothing.
fn known_caller(headers: &HeaderMap, state: &ApiState, needed: Scope) -> Result<Caller, Problem> {
    let Some(given) = headers.get(header::AUTHORIZATION) else {
        return Err(Problem::unauthorized("auth-missing", "a token is needed"));
    };
    let token = bearer(given.as_bytes()).unwrap_or_default();
    let mut found = None;
    if let Some(shared) = state.settings.token.load()
        && same(token, shared.as_bytes())
    {
        found = Some(Caller { name: PLATFORM.to_owned(), scope: Scope::Operator });
    }
    let digest = Digest::of(token);
    for person in &state.settings.people {
        if bool::from(digest.as_bytes().ct_eq(person.token_sha256.as_bytes())) {
            found = Some(Caller { name: person.name.clone(), scope: person.scope });
        }
    }
    let Some(caller) = found else {
        return Err(Problem::unauthorized("auth-invalid", "the token is not known"));
    };
    if caller.scope < needed {
        let detail = format!("`{}` may not do this", caller.name);
        return Err(Problem::new(StatusCode::FORBIDDEN, "scope-missing", detail));
    }
    Ok(caller)
}

fn wrong_slug() -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "slug-mismatch", "Invalid challenge slug header")
}

fn check_token(headers: &HeaderMap, state: &ApiState, refusal: &str) -> Result<(), Problem> {
    let Some(token) = state.settings.token.load() else {
        return Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "token-not-configured",
            "Internal challenge token is not configured",
        ));
    };
    let Some(given) = headers.get(header::AUTHORIZATION) else {
        return Err(Problem::unauthorized("auth-missing", refusal));
    };
    let matches = bearer(given.as_bytes()).is_some_and(|given| same(given, token.as_bytes()));
    if matches { Ok(()) } else { Err(Problem::unauthorized("auth-invalid", refusal)) }
}

/// Whether two tokens are the same. Digests are compared, so that the time does not tell the length either.
fn same(given: &[u8], token: &[u8]) -> bool {
    Digest::of(given).as_bytes().ct_eq(Digest::of(token).as_bytes()).into()
}

/// The credentials of a bearer header: the scheme in any case, exactly one space (RFC 9110, 11.4).
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = value.split_at_checked(6)?;
    let (space, token) = rest.split_first()?;
    (scheme.eq_ignore_ascii_case(b"bearer") && *space == b' ').then_some(token)
}

/// A header of Platform under either of its two families of names.
pub(super) fn platform_header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a [u8]> {
    let find = |family: &str| headers.get(format!("x-{family}-{name}"));
    find("platform").or_else(|| find("base")).map(axum::http::HeaderValue::as_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bearer_scheme_is_read_as_the_rfc_says() {
        assert_eq!(bearer(b"Bearer T"), Some(b"T".as_slice()));
        assert_eq!(bearer(b"bearer T"), Some(b"T".as_slice()));
        assert_eq!(bearer(b"Bearer  T"), Some(b" T".as_slice()));
        assert_eq!(bearer(b"Basic T"), None);
        assert_eq!(bearer(b"Bearer"), None);
    }
}
