//! What every request passes through: request ids, limits of its header, a place among those that are
//! answered at once, security headers, the predecessor's manners about unknown paths, wrong methods and
//! trailing slashes.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::admission::Admission;
use super::connections::Peer;
use super::limits::{HEADER_BYTES_MAX, HEADERS_MAX, TARGET_BYTES_MAX};
use super::problem::{Asked, Problem, while_asked};

/// What Platform and operators ask for begins with this.
const INTERNAL_PREFIX: &str = "/internal/";
const REQUEST_ID: &str = "x-request-id";

pub(super) async fn not_found(request: Request) -> Response {
    let path = request.uri().path();
    match path.strip_suffix('/') {
        Some(shorter) if !shorter.is_empty() && !is_elsewhere(shorter) => {
            redirect(shorter, request.uri().query())
        }
        _ => Problem::new(StatusCode::NOT_FOUND, "not-found", "Not Found").into_response(),
    }
}

/// Whether a browser takes the path for another host: `//host`, `/\host`.
fn is_elsewhere(path: &str) -> bool {
    path.replace('\\', "/").starts_with("//")
}

pub(super) async fn method_not_allowed() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Method Not Allowed")
}

fn redirect(path: &str, query: Option<&str>) -> Response {
    let target = query.map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
    if let Ok(location) = HeaderValue::from_str(&target) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// The answer to a request that keeps its limits and finds a place.
async fn admitted(admission: &Admission, request: Request, next: Next) -> Response {
    if let Err(problem) = check_head(request.uri(), request.headers()) {
        return problem.into_response();
    }
    let peer = request.extensions().get::<Peer>().copied();
    match admission.enter(request.method(), request.uri().path(), peer).await {
        Ok(_place) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

fn check_head(uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
    if uri.path_and_query().is_some_and(|target| target.as_str().len() > TARGET_BYTES_MAX) {
        let detail = format!("path and query may have {TARGET_BYTES_MAX} bytes");
        return Err(Problem::new(StatusCode::URI_TOO_LONG, "target-too-long", detail));
    }
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if headers.len() > HEADERS_MAX || bytes > HEADER_BYTES_MAX {
        let detail = format!(
            "a request may have {HEADERS_MAX} header fields of {HEADER_BYTES_MAX} bytes in all"
        );
        let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        return Err(Problem::new(status, "headers-too-large", detail));
    }
    Ok(())
}

/// The outermost layer.
pub(super) async fn finish(
    State(admission): State<Arc<Admission>>,
    mut request: Request,
    next: Next,
) -> Response {
    // Clients of the predecessor were told 405 for HEAD; the router would answer it like GET.
    if request.method() == Method::HEAD {
        *request.method_mut() = Method::OPTIONS;
    }
    let id = uuid::Uuid::new_v4().to_string();
    let asked = Asked {
        request_id: id.clone(),
        internal: request.uri().path().starts_with(INTERNAL_PREFIX),
    };
    let chunked = request.headers().contains_key(header::TRANSFER_ENCODING);
    let mut response = while_asked(asked, admitted(&admission, request, next)).await;
    let headers = response.headers_mut();
    if chunked {
        // Where a proxy reads the end of such a body elsewhere, what follows is not another request.
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    if let Some(allow) = headers.get(header::ALLOW)
        && allow.as_bytes() == b"GET,HEAD"
    {
        headers.insert(header::ALLOW, HeaderValue::from_static("GET"));
    }
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, id);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'self'; frame-ancestors 'none'"),
    );
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::is_elsewhere;

    #[test]
    fn no_redirect_leads_to_another_host() {
        for path in ["//host", "/\\host", "\\/host", "\\\\host"] {
            assert!(is_elsewhere(path), "{path}");
        }
        assert!(!is_elsewhere("/v1/leaderboard") && !is_elsewhere("/v1//x"));
    }
}
