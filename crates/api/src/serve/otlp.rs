//! OTLP over HTTP: `/v1/logs`, `/v1/traces` and `/v1/metrics`, protobuf or JSON, plain or gzip.
//!
//! A request is answered once its records are committed. What is not stored for want of room is answered with 503 and
//! `Retry-After`, which exporters repeat; what can never be read is answered with a code they do not repeat. Bodies are
//! bounded one by one, before and after inflating, and all together.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use axum::routing::post;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use lamplight_engine::forward::{Original, SENDER_HEADER};
use lamplight_engine::sources::otlp::{self, Encoding, PartialSuccess, Signal};
use lamplight_engine::{Engine, IngestError, clock};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::guard;
use super::peer::Peer;
use super::token::Token;

/// Largest body accepted, before and after inflating. 20 MiB is the OpenTelemetry Collector's default.
pub(super) const MAX_BODY_BYTES: usize = 20 * 1024 * 1024;
/// Bodies being received, all together: three of the largest, or a hundred thousand ordinary ones.
const MAX_RECEIVING_BYTES: usize = 64 * 1024 * 1024;
/// Time for a body to arrive.
pub(super) const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// Requests inflated and decoded at the same time; each may take 20 MiB, and more would only share the same cores.
const MAX_DECODING: usize = 2;
/// When to send again what was not taken.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// What takes telemetry in, over HTTP and gRPC alike.
#[derive(Clone)]
pub(super) struct Intake {
    engine: Engine,
    /// Needed from exporters, when one is configured.
    token: Option<Token>,
    receiving: Arc<Semaphore>,
    decoding: Arc<Semaphore>,
}

/// Why a request was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refused {
    /// The token is missing or wrong.
    Unauthorized,
    /// Another user's process sent it, and no token says that it may.
    OtherUser,
    /// Not a type or an encoding that is understood.
    Unsupported(&'static str),
    /// Over [`MAX_BODY_BYTES`], as sent or inflated.
    TooLarge,
    /// It broke off, is no gzip, or no OTLP.
    Malformed(String),
    /// It did not arrive in time.
    TimedOut,
    /// There is no room now.
    Busy,
    /// The disk is nearly full.
    NoRoom,
    /// The engine is stopping.
    Stopping,
    /// This engine forwarded it itself: the place it forwards to leads back here.
    Loop,
}

impl Refused {
    /// A sentence for the exporter's log.
    pub(super) fn message(&self) -> String {
        match self {
            Self::Unauthorized => {
                "The token is missing or wrong. Send it as \"Authorization: Bearer\".".to_owned()
            }
            Self::OtherUser => {
                "Only programs of the user that Lamplight runs as may send telemetry. For others set a token in its settings ([otlp] token) and send that."
                    .to_owned()
            }
            Self::Unsupported(what) => (*what).to_owned(),
            Self::TooLarge => {
                format!("The body is larger than {MAX_BODY_BYTES} bytes. Send smaller batches.")
            }
            Self::Malformed(why) => format!("The request cannot be read: {why}."),
            Self::TimedOut => "The body did not arrive in time.".to_owned(),
            Self::Busy => "Too much telemetry waits to be stored. Send it again in a moment.".to_owned(),
            Self::NoRoom => {
                "The disk is nearly full: no telemetry is taken in until there is room again. Send it again later."
                    .to_owned()
            }
            Self::Stopping => "Lamplight is stopping. Send it again later.".to_owned(),
            Self::Loop => {
                "This Lamplight sent the request itself: [forward] endpoint leads back to it.".to_owned()
            }
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::OtherUser => StatusCode::FORBIDDEN,
            Self::Unsupported(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::TimedOut => StatusCode::REQUEST_TIMEOUT,
            Self::Busy | Self::NoRoom | Self::Stopping => StatusCode::SERVICE_UNAVAILABLE,
            Self::Loop => StatusCode::MISDIRECTED_REQUEST,
        }
    }

    /// The code of `google.rpc.Status`, which gRPC uses as well.
    pub(super) fn rpc_code(&self) -> i32 {
        match self {
            Self::Unsupported(_) | Self::Malformed(_) => 3,
            Self::TimedOut => 4,
            Self::OtherUser => 7,
            Self::TooLarge => 8,
            Self::Loop => 9,
            Self::Busy | Self::NoRoom | Self::Stopping => 14,
            Self::Unauthorized => 16,
        }
    }
}

impl Intake {
    pub(super) fn new(engine: Engine, token: Option<Token>) -> Self {
        Self {
            engine,
            token,
            receiving: Arc::new(Semaphore::new(MAX_RECEIVING_BYTES)),
            decoding: Arc::new(Semaphore::new(MAX_DECODING)),
        }
    }

    /// Checks who sends: by the token where one is configured, else by the owner of the connection; and that it is not this
    /// engine itself.
    pub(super) fn check_sender(&self, headers: &HeaderMap, peer: Peer) -> Result<(), Refused> {
        match (&self.token, peer) {
            (Some(token), _) => guard::check_token(headers, token).map_err(|_| Refused::Unauthorized)?,
            (None, Peer::Own | Peer::Unknown) => {}
            (None, Peer::Other) => return Err(Refused::OtherUser),
        }
        let mark = headers.get(SENDER_HEADER);
        let is_own = mark.is_some_and(|mark| self.engine.is_own_request(mark.as_bytes()));
        if is_own { Err(Refused::Loop) } else { Ok(()) }
    }

    /// Takes a request in and returns once it is committed, and waits to be forwarded where that is wanted.
    pub(super) async fn take(
        &self,
        signal: Signal,
        encoding: Encoding,
        is_gzip: bool,
        body: Bytes,
    ) -> Result<PartialSuccess, Refused> {
        let keeps_body = self.engine.is_forwarding();
        let (batch, original) = {
            let _turn = self.decoding.acquire().await.map_err(|_| Refused::Stopping)?;
            let decoded = tokio::task::spawn_blocking(move || {
                let body = if is_gzip { inflate(&body)?.into() } else { body };
                let batch = otlp::decode(signal, encoding, &body, clock::now())
                    .map_err(|error| Refused::Malformed(error.to_string()))?;
                Ok((batch, keeps_body.then_some(Original { signal, encoding, body })))
            });
            match decoded.await {
                Ok(decoded) => decoded?,
                Err(error) if error.is_cancelled() => return Err(Refused::Stopping),
                Err(error) => {
                    tracing::error!(%error, "decoding of telemetry ended with a panic");
                    return Err(Refused::Malformed("it cannot be decoded".to_owned()));
                }
            }
        };
        self.engine.ingest_request(batch, original).await.map_err(|error| match error {
            IngestError::Busy => Refused::Busy,
            IngestError::NoRoom => Refused::NoRoom,
            IngestError::Stopped => Refused::Stopping,
        })
    }

    /// Collects a body within the bounds. The permit stands for its bytes.
    async fn collect(&self, body: Body) -> Result<(Bytes, Option<OwnedSemaphorePermit>), Refused> {
        let mut body = body;
        let mut collected = BytesMut::new();
        let mut held: Option<OwnedSemaphorePermit> = None;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| Refused::Malformed("the body broke off".to_owned()))?;
            let Ok(data) = frame.into_data() else { continue };
            if collected.len().saturating_add(data.len()) > MAX_BODY_BYTES {
                return Err(Refused::TooLarge);
            }
            let size = u32::try_from(data.len()).map_err(|_| Refused::TooLarge)?;
            let more = Arc::clone(&self.receiving).try_acquire_many_owned(size).map_err(|_| Refused::Busy)?;
            match &mut held {
                Some(held) => held.merge(more),
                None => held = Some(more),
            }
            collected.extend_from_slice(&data);
        }
        Ok((collected.freeze(), held))
    }
}

fn inflate(body: &[u8]) -> Result<Vec<u8>, Refused> {
    let mut inflated = Vec::new();
    let bound = u64::try_from(MAX_BODY_BYTES).unwrap_or(u64::MAX) + 1;
    flate2::read::MultiGzDecoder::new(body)
        .take(bound)
        .read_to_end(&mut inflated)
        .map_err(|_| Refused::Malformed("the body is no gzip".to_owned()))?;
    if inflated.len() > MAX_BODY_BYTES { Err(Refused::TooLarge) } else { Ok(inflated) }
}

/// The routes; the listener's guards of `Host` and `Origin` stand around them.
pub(super) fn routes(intake: Intake) -> Router {
    let mut router = Router::new();
    for (path, signal) in
        [("/v1/logs", Signal::Logs), ("/v1/traces", Signal::Traces), ("/v1/metrics", Signal::Metrics)]
    {
        let handler = move |State(intake): State<Intake>, request: Request| export(intake, signal, request);
        router = router.route(path, post(handler).fallback(only_post));
    }
    router.with_state(intake)
}

async fn only_post() -> StatusCode {
    StatusCode::METHOD_NOT_ALLOWED
}

async fn export(intake: Intake, signal: Signal, request: Request) -> Response {
    let encoding = encoding(request.headers());
    let answer_in = *encoding.as_ref().unwrap_or(&Encoding::Json);
    match receive(&intake, signal, encoding, request).await {
        Ok(partial) => answer(StatusCode::OK, answer_in, otlp::response_bytes(signal, answer_in, &partial)),
        Err(refused) => {
            tracing::debug!(?refused, ?signal, "telemetry was not taken");
            let status = otlp::status_bytes(answer_in, refused.rpc_code(), &refused.message());
            let mut response = answer(refused.status(), answer_in, status);
            let headers = response.headers_mut();
            match refused {
                Refused::Busy | Refused::NoRoom | Refused::Stopping => {
                    drop(headers.insert(header::RETRY_AFTER, RETRY_AFTER))
                }
                Refused::Unauthorized => {
                    headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
                }
                _ => {}
            }
            response
        }
    }
}

async fn receive(
    intake: &Intake,
    signal: Signal,
    encoding: Result<Encoding, Refused>,
    request: Request,
) -> Result<PartialSuccess, Refused> {
    // Every connection over HTTP carries it; a request without one came another way.
    let peer = request.extensions().get().copied().unwrap_or(Peer::Unknown);
    intake.check_sender(request.headers(), peer)?;
    let encoding = encoding?;
    let is_gzip = is_gzip(request.headers())?;
    let announced =
        request.headers().get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|n| usize::try_from(n).map_or(true, |n| n > MAX_BODY_BYTES)) {
        return Err(Refused::TooLarge);
    }
    let collected = tokio::time::timeout(BODY_TIMEOUT, intake.collect(request.into_body()));
    let (body, _held) = collected.await.map_err(|_| Refused::TimedOut)??;
    intake.take(signal, encoding, is_gzip, body).await
}

/// The one `Content-Type`, with or without parameters. Types a web page may send without asking are none of these.
fn encoding(headers: &HeaderMap) -> Result<Encoding, Refused> {
    let refused = Refused::Unsupported("Send Content-Type: application/x-protobuf or application/json.");
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(only), None) = (types.next(), types.next()) else { return Err(refused) };
    let essence = only.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    match essence.to_ascii_lowercase().as_str() {
        "application/x-protobuf" => Ok(Encoding::Protobuf),
        "application/json" => Ok(Encoding::Json),
        _ => Err(refused),
    }
}

fn is_gzip(headers: &HeaderMap) -> Result<bool, Refused> {
    let refused = Refused::Unsupported("Send Content-Encoding: gzip, or none.");
    let mut encodings = headers.get_all(header::CONTENT_ENCODING).iter();
    match (encodings.next(), encodings.next()) {
        (None, _) => Ok(false),
        (Some(only), None) => match only.to_str().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
            "gzip" => Ok(true),
            "identity" | "" => Ok(false),
            _ => Err(refused),
        },
        _ => Err(refused),
    }
}

fn answer(status: StatusCode, encoding: Encoding, body: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let content_type = match encoding {
        Encoding::Protobuf => HeaderValue::from_static("application/x-protobuf"),
        Encoding::Json => HeaderValue::from_static("application/json"),
    };
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn inflating_is_bounded() {
        assert_eq!(inflate(&gzip(b"abc")).unwrap(), b"abc");
        assert_eq!(inflate(&gzip(&vec![0; MAX_BODY_BYTES])).unwrap().len(), MAX_BODY_BYTES);
        assert_eq!(inflate(&gzip(&vec![0; MAX_BODY_BYTES + 1])), Err(Refused::TooLarge));
        let many: Vec<u8> = std::iter::repeat_n(gzip(&[0; 1024 * 1024]), 200).flatten().collect();
        assert_eq!(inflate(&many), Err(Refused::TooLarge), "many small members");
        assert!(matches!(inflate(b"no gzip"), Err(Refused::Malformed(_))));
        assert!(matches!(inflate(&gzip(b"abc")[..10]), Err(Refused::Malformed(_))), "cut short");
    }

    /// A body that goes on for ever, one byte every few seconds; ended by whoever reads it.
    fn trickle() -> Body {
        Body::from_stream(futures_util::stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            Some((Ok::<_, std::convert::Infallible>(Bytes::from_static(b" ")), ()))
        }))
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_trickles_is_given_up_and_what_it_held_is_free_again() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().to_str().unwrap().to_owned();
        let config = crate::config_file::load(&move |name| (name == "HOME").then(|| path.clone())).unwrap();
        let engine = Engine::start(config).unwrap();
        let intake = Intake::new(engine.clone(), None);
        let request = Request::post("/v1/logs").body(trickle()).unwrap();
        let began = tokio::time::Instant::now();
        let taken = receive(&intake, Signal::Logs, Ok(Encoding::Json), request).await;
        assert_eq!(taken, Err(Refused::TimedOut));
        assert!(began.elapsed() < BODY_TIMEOUT + Duration::from_secs(1), "{:?}", began.elapsed());
        assert_eq!(intake.receiving.available_permits(), MAX_RECEIVING_BYTES);
        engine.shutdown();
    }
}
