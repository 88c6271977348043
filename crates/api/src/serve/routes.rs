//! Routes, made from the command table, and the one adapter between HTTP and a command.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, RawPathParams, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, any, get, post};
use http_body_util::{BodyExt, Limited};
use lamplight_engine::Engine;
use serde_json::{Map, Value};
use tokio::sync::{Semaphore, watch};

use super::token::Token;
use super::{HttpHost, guard, metrics, otlp, stream, ui};
use crate::commands::{COMMANDS, Command, Verb};
use crate::error::{ApiError, ErrorCode};

/// Largest body of a command: a label, an id, a few numbers.
const MAX_COMMAND_BYTES: usize = 64 * 1024;
/// Time for such a body to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// What an answer that is no page may load: nothing.
const API_CSP: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");

/// What handlers share.
#[derive(Clone)]
pub(super) struct App {
    pub(super) engine: Engine,
    /// Turns true when the server stops; streams end then.
    pub(super) stop: watch::Receiver<bool>,
    /// Held by commands that may wait for the writer.
    writing: Arc<Semaphore>,
}

impl App {
    pub(super) fn new(engine: Engine, stop: watch::Receiver<bool>) -> Self {
        Self { engine, stop, writing: Arc::new(Semaphore::new(super::MAX_WAITING_COMMANDS)) }
    }
}

/// Routes of the control socket: no guard, since only its owner can open it.
pub(super) fn control(app: App) -> Router {
    Router::new()
        .merge(api(app))
        .route("/healthz", get(healthz))
        .fallback(no_route)
        .layer(middleware::map_response(with_headers))
}

/// Routes of the HTTP listener behind its guards.
pub(super) fn http(app: App, host: HttpHost) -> Router {
    let HttpHost { token, port, ui, intake } = host;
    let mut routes = api(app)
        .route("/api/", any(no_route))
        .route("/api/{*rest}", any(no_route))
        .route_layer(middleware::from_fn_with_state(token, need_token))
        .merge(otlp::routes(intake))
        .route("/healthz", get(healthz));
    if ui {
        routes = routes.route("/", get(ui::index)).route("/{*path}", get(ui::file));
    }
    routes
        .fallback(no_route)
        .layer(middleware::from_fn_with_state(port, need_own_caller))
        .layer(middleware::map_response(with_headers))
}

fn api(app: App) -> Router {
    let mut routes: BTreeMap<&'static str, MethodRouter<App>> = BTreeMap::new();
    for command in COMMANDS {
        let handler =
            move |State(app): State<App>, path: RawPathParams, query: QueryResult, request: Request| {
                run_command(app, command, path, query, request)
            };
        let route = match command.verb {
            Verb::Get => get(handler),
            Verb::Post => post(handler),
        };
        let merged = routes.remove(command.path).unwrap_or_default().merge(route);
        routes.insert(command.path, merged);
    }
    let mut router = Router::new();
    for (path, route) in routes {
        router = router.route(path, route.fallback(wrong_method));
    }
    router
        .route("/api/v1/stream", get(stream::stream).fallback(wrong_method))
        .route("/metrics", get(metrics::metrics).fallback(wrong_method))
        .with_state(app)
}

type QueryResult = Result<Query<BTreeMap<String, String>>, QueryRejection>;

async fn run_command(
    app: App,
    command: &'static Command,
    path: RawPathParams,
    query: QueryResult,
    request: Request,
) -> Response {
    let params = match command.verb {
        Verb::Get => match query {
            Ok(Query(query)) => {
                Ok(query.into_iter().map(|(key, value)| (key, Value::String(value))).collect())
            }
            Err(error) => Err(refuse(StatusCode::BAD_REQUEST, error.body_text())),
        },
        Verb::Post => body_params(request, command.body_is).await,
    };
    let mut params: Map<String, Value> = match params {
        Ok(params) => params,
        Err(refusal) => return refusal,
    };
    // Last, so that no body speaks of another session than the address does.
    for (name, value) in &path {
        params.insert(name.to_owned(), Value::String(value.to_owned()));
    }
    let turn = match command.verb {
        Verb::Get => None,
        // Never closed.
        Verb::Post => app.writing.acquire_owned().await.ok(),
    };
    answer(move || {
        let _turn = turn;
        command.run(&app.engine, Value::Object(params))
    })
    .await
}

/// Runs `work` where it may block, and answers with what it returns as JSON.
async fn answer(work: impl FnOnce() -> Result<Value, ApiError> + Send + 'static) -> Response {
    let done = tokio::task::spawn_blocking(move || work().map(|value| value.to_string())).await;
    match done {
        Ok(Ok(json)) => json_response(StatusCode::OK, json),
        Ok(Err(error)) => error.into_response(),
        Err(error) => {
            tracing::error!(%error, "a command ended with a panic");
            ApiError::new(ErrorCode::Internal, "The command failed inside Lamplight; its log says more.")
                .into_response()
        }
    }
}

async fn body_params(
    request: Request,
    body_is: Option<&'static str>,
) -> Result<Map<String, Value>, Response> {
    if !is_json(request.headers()) {
        return Err(refuse(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "The body must be JSON: send Content-Type: application/json.".to_owned(),
        ));
    }
    let collected =
        tokio::time::timeout(BODY_TIMEOUT, Limited::new(request.into_body(), MAX_COMMAND_BYTES).collect());
    let bytes = match collected.await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            return Err(refuse(
                StatusCode::PAYLOAD_TOO_LARGE,
                format!("The body is larger than the {MAX_COMMAND_BYTES} bytes a command may have."),
            ));
        }
        Ok(Err(_)) => return Err(refuse(StatusCode::BAD_REQUEST, "The body broke off.".to_owned())),
        Err(_) => {
            return Err(refuse(StatusCode::REQUEST_TIMEOUT, "The body did not arrive in time.".to_owned()));
        }
    };
    match serde_json::from_slice(&bytes) {
        Ok(Value::Object(body)) => Ok(match body_is {
            Some(name) => Map::from_iter([(name.to_owned(), Value::Object(body))]),
            None => body,
        }),
        Ok(_) => Err(refuse(StatusCode::BAD_REQUEST, "The body must be a JSON object.".to_owned())),
        Err(error) => Err(refuse(StatusCode::BAD_REQUEST, format!("The body is not JSON: {error}."))),
    }
}

/// Whether the one `Content-Type` is `application/json`, with or without parameters.
fn is_json(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(only), None) = (types.next(), types.next()) else { return false };
    let Ok(text) = only.to_str() else { return false };
    text.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
}

async fn healthz() -> &'static str {
    "ok"
}

async fn no_route() -> Response {
    ApiError::not_found("There is nothing at this address.").into_response()
}

async fn wrong_method() -> Response {
    refuse(StatusCode::METHOD_NOT_ALLOWED, "This address does not take this method.".to_owned())
}

async fn need_own_caller(State(port): State<u16>, request: Request, next: Next) -> Response {
    match guard::check_caller(request.headers(), request.uri(), port) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

async fn need_token(State(token): State<Token>, request: Request, next: Next) -> Response {
    match guard::check_token(request.headers(), &token) {
        Ok(()) => next.run(request).await,
        Err(error) => {
            let mut response = error.into_response();
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            response
        }
    }
}

/// Headers every answer carries: nothing is cached, guessed, framed, embedded elsewhere or told to others.
async fn with_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    );
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(API_CSP);
    response
}

fn refuse(status: StatusCode, message: String) -> Response {
    with_status(status, &ApiError::bad_request(message))
}

fn with_status(status: StatusCode, error: &ApiError) -> Response {
    let json = serde_json::to_string(error).expect("BUG: two texts are always JSON");
    json_response(status, json)
}

fn json_response(status: StatusCode, json: String) -> Response {
    let mut response = Response::new(Body::from(json));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = match self.code {
            ErrorCode::NotFound => StatusCode::NOT_FOUND,
            ErrorCode::Ambiguous | ErrorCode::Conflict => StatusCode::CONFLICT,
            ErrorCode::BadRequest => StatusCode::BAD_REQUEST,
            ErrorCode::Unauthorized => StatusCode::UNAUTHORIZED,
            ErrorCode::Forbidden => StatusCode::FORBIDDEN,
            ErrorCode::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            ErrorCode::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        };
        with_status(status, &self)
    }
}
