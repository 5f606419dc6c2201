//! Who is asking: the shared token of Platform. Decided from the headers alone, before any body is read.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use subtle::ConstantTimeEq as _;

use super::problem::Problem;
use super::state::ApiState;

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
    let matches =
        bearer(given.as_bytes()).is_some_and(|given| bool::from(given.ct_eq(token.as_bytes())));
    if matches { Ok(()) } else { Err(Problem::unauthorized("auth-invalid", refusal)) }
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
