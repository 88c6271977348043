//! The browser UI: the built frontend, carried inside the binary (read from disk in debug builds).

use axum::body::Body;
use axum::extract::Path;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use rust_embed::{EmbeddedFile, RustEmbed};

use crate::error::ApiError;

#[derive(RustEmbed)]
#[folder = "$CARGO_MANIFEST_DIR/../../frontend/dist"]
#[allow_missing = true]
struct Frontend;

/// What the page may load: its own files and this listener's API. Styles are set on elements by the UI library.
const UI_CSP: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

const INDEX: &str = "index.html";

/// Whether this build carries the frontend.
pub(super) fn is_built() -> bool {
    Frontend::get(INDEX).is_some()
}

pub(super) async fn index() -> Response {
    respond(INDEX)
}

pub(super) async fn file(Path(path): Path<String>) -> Response {
    respond(&path)
}

fn respond(path: &str) -> Response {
    let Some(EmbeddedFile { data, .. }) = Frontend::get(path) else {
        return ApiError::not_found("There is nothing at this address.").into_response();
    };
    let mime = mime_guess::from_path(path).first_or_octet_stream();
    let mut response = Response::new(Body::from(data.into_owned()));
    let content_type = HeaderValue::from_str(mime.essence_str())
        .unwrap_or_else(|_| HeaderValue::from_static("application/octet-stream"));
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, UI_CSP);
    response
}
