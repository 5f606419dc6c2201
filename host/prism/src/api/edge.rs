//! What every request passes through: request ids, security headers, the predecessor's manners about
//! unknown paths, wrong methods and trailing slashes.

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::problem::{Asked, Problem, while_asked};

/// What Platform and operators ask for begins with this.
const INTERNAL_PREFIX: &str = "/internal/";
const REQUEST_ID: &str = "x-request-id";

pub(super) async fn not_found(request: Request) -> Response {
    let path = request.uri().path();
    match path.strip_suffix('/') {
        Some(shorter) if !shorter.is_empty() && !shorter.starts_with("//") => {
            redirect(shorter, request.uri().query())
        }
        _ => Problem::new(StatusCode::NOT_FOUND, "not-found", "Not Found").into_response(),
    }
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

/// The outermost layer.
pub(super) async fn finish(mut request: Request, next: Next) -> Response {
    // Clients of the predecessor were told 405 for HEAD; the router would answer it like GET.
    if request.method() == Method::HEAD {
        *request.method_mut() = Method::OPTIONS;
    }
    let id = uuid::Uuid::new_v4().to_string();
    let asked = Asked {
        request_id: id.clone(),
        internal: request.uri().path().starts_with(INTERNAL_PREFIX),
    };
    let mut response = while_asked(asked, next.run(request)).await;
    let headers = response.headers_mut();
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
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
