//! One request to the Collector, and what its answer means; by OTLP's specification of retryable answers.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use prost::Message;
use tonic::body::Body;
use tonic::codec::CompressionEncoding;
use tonic::{Code, Status};

use super::codec::BytesCodec;
use super::endpoint::{Endpoint, Header, Protocol};
use crate::config::Forward;
use crate::sources::otlp::Signal;

/// Time for a request and its answer. A Collector answers within milliseconds, or holds back while it is overloaded.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Time to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Largest answer read; a partial success is a number and a sentence.
const MAX_ANSWER: usize = 64 * 1024;

/// Smaller bodies are not worth compressing.
const MIN_GZIP: usize = 1024;

/// Longest pause a Collector may ask for.
const MAX_PAUSE: Duration = Duration::from_secs(3_600);

const USER_AGENT: &str = concat!("lamplight/", env!("CARGO_PKG_VERSION"));

/// Names the engine that forwards, so that it knows its own requests again.
pub(super) const SENDER: &str = "x-lamplight-sender";

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was taken, but for so many records, which must not be sent again.
    Delivered { rejected: u64 },
    /// To be sent again, not before so long.
    Later { after: Option<Duration>, trouble: Trouble },
    /// To be sent again a few times: the Collector failed, perhaps at this very request.
    Doubtful(Trouble),
    /// Never to be sent again.
    Never(Trouble),
}

/// Why a request was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// No connection, or it broke off.
    Unreachable,
    /// No answer in time.
    TimedOut,
    /// Answered with this HTTP status.
    Http(u16),
    /// Answered with this gRPC code.
    Grpc(i32),
}

impl Trouble {
    /// Whether it is about who sends and where to, and not about what was sent.
    pub(super) fn is_about_us(self) -> bool {
        match self {
            Self::Http(status) => matches!(status, 300..=399 | 401 | 403..=405),
            // Permission denied, unimplemented, unauthenticated.
            Self::Grpc(code) => matches!(code, 7 | 12 | 16),
            Self::Unreachable | Self::TimedOut => false,
        }
    }
}

/// Why nothing can be sent at all.
#[derive(Debug, thiserror::Error)]
pub(super) enum SetupError {
    /// The TLS library refuses.
    #[error("TLS cannot be set up")]
    Tls(#[from] rustls::Error),
    /// Nothing says whom to trust.
    #[error("this system has no certificates of authorities, so that no Collector can be trusted over https")]
    NoRoots,
    /// The address is none after all.
    #[error("the endpoint cannot be used")]
    Address(#[from] hyper::http::Error),
}

/// Sends to one Collector, over one connection that is kept.
pub(super) struct Sender {
    client: Client<HttpsConnector<HttpConnector>, Body>,
    protocol: Protocol,
    /// Addresses of the signals, in the order of [`Signal::ALL`].
    http: [Uri; 3],
    /// Scheme, host and port.
    origin: Uri,
    headers: HeaderMap,
}

impl Sender {
    /// Makes one; connects with the first request.
    pub(super) fn new(config: &Forward, sender: &str) -> Result<Self, SetupError> {
        let mut headers = HeaderMap::new();
        for Header { name, value } in &config.headers {
            headers.insert(name.clone(), value.clone());
        }
        headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
        headers.insert(SENDER, HeaderValue::from_str(sender).map_err(hyper::http::Error::from)?);
        let [logs, traces, metrics] = Signal::ALL;
        let at = |signal| config.endpoint.http(signal);
        let is_grpc = config.protocol == Protocol::Grpc;
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_max_idle_per_host(1)
            .http2_only(is_grpc)
            .build(connector(&config.endpoint, is_grpc)?);
        Ok(Self {
            client,
            protocol: config.protocol,
            http: [at(logs)?, at(traces)?, at(metrics)?],
            origin: config.endpoint.origin().parse().map_err(hyper::http::Error::from)?,
            headers,
        })
    }

    /// Sends a request and waits for its answer.
    pub(super) async fn send(&self, signal: Signal, body: Vec<u8>) -> Outcome {
        let sent = async {
            match self.protocol {
                Protocol::Http => self.over_http(signal, body).await,
                Protocol::Grpc => self.over_grpc(signal, body).await,
            }
        };
        let timed_out = Outcome::Later { after: None, trouble: Trouble::TimedOut };
        tokio::time::timeout(TIMEOUT, sent).await.unwrap_or(timed_out)
    }

    async fn over_http(&self, signal: Signal, body: Vec<u8>) -> Outcome {
        let [logs, traces, metrics] = &self.http;
        let uri = match signal {
            Signal::Logs => logs,
            Signal::Traces => traces,
            Signal::Metrics => metrics,
        };
        let (body, is_gzip) = match gzip(&body) {
            Some(smaller) => (smaller, true),
            None => (body, false),
        };
        let mut request = Request::new(Body::new(Full::new(Bytes::from(body))));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri.clone();
        *request.headers_mut() = self.headers.clone();
        let headers = request.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        if is_gzip {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        let unreachable = Outcome::Later { after: None, trouble: Trouble::Unreachable };
        let Ok(response) = self.client.request(request).await else { return unreachable };
        let (head, body) = response.into_parts();
        let after = retry_after(&head.headers);
        // An answer that is too long or breaks off says nothing about what was refused; its status holds.
        let body = Limited::new(body, MAX_ANSWER).collect().await.map(|b| b.to_bytes()).unwrap_or_default();
        by_status(head.status, after, &body)
    }

    async fn over_grpc(&self, signal: Signal, body: Vec<u8>) -> Outcome {
        let client = self.client.clone();
        let headers = self.headers.clone();
        let service = tower_service(move |mut request: Request<Body>| {
            request.headers_mut().extend(headers.clone());
            let answer = client.request(request);
            async move {
                // Not the Collector's word: told apart from its codes, which tonic would make of it.
                answer.await.map_err(|_| NoAnswer)
            }
        });
        let mut grpc = tonic::client::Grpc::with_origin(service, self.origin.clone())
            .max_decoding_message_size(MAX_ANSWER)
            .accept_compressed(CompressionEncoding::Gzip);
        if body.len() >= MIN_GZIP {
            grpc = grpc.send_compressed(CompressionEncoding::Gzip);
        }
        match grpc.unary(tonic::Request::new(body), Endpoint::grpc(signal), BytesCodec).await {
            Ok(answer) => Outcome::Delivered { rejected: rejected(answer.get_ref()) },
            Err(status) => by_code(&status),
        }
    }
}

/// No connection to the Collector, or one that broke off.
#[derive(Debug, thiserror::Error)]
#[error("no answer")]
struct NoAnswer;

/// A function as the service tonic wants; always ready, as the client below makes its connections itself.
fn tower_service<F, A>(call: F) -> CallOnce<F>
where
    F: Fn(Request<Body>) -> A,
    A: Future<Output = Result<Response<hyper::body::Incoming>, NoAnswer>>,
{
    CallOnce(call)
}

struct CallOnce<F>(F);

impl<F, A> tonic::client::GrpcService<Body> for CallOnce<F>
where
    F: Fn(Request<Body>) -> A,
    A: Future<Output = Result<Response<hyper::body::Incoming>, NoAnswer>>,
{
    type ResponseBody = hyper::body::Incoming;
    type Error = NoAnswer;
    type Future = A;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Self::Error>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        (self.0)(request)
    }
}

fn connector(endpoint: &Endpoint, is_grpc: bool) -> Result<HttpsConnector<HttpConnector>, SetupError> {
    let mut roots = rustls::RootCertStore::empty();
    if endpoint.is_tls() {
        let native = rustls_native_certs::load_native_certs();
        for error in &native.errors {
            tracing::warn!(%error, "some certificates of authorities cannot be read");
        }
        roots.add_parsable_certificates(native.certs);
        if roots.is_empty() {
            return Err(SetupError::NoRoots);
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
    tcp.set_nodelay(true);
    let builder = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http();
    Ok(if is_grpc {
        builder.enable_http2().wrap_connector(tcp)
    } else {
        builder.enable_http1().wrap_connector(tcp)
    })
}

fn gzip(body: &[u8]) -> Option<Vec<u8>> {
    if body.len() < MIN_GZIP {
        return None;
    }
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    // Writing to memory does not fail; if it did, the body goes as it is.
    encoder.write_all(body).ok()?;
    encoder.finish().ok()
}

fn by_status(status: StatusCode, after: Option<Duration>, body: &[u8]) -> Outcome {
    let trouble = Trouble::Http(status.as_u16());
    match status.as_u16() {
        200..=299 => Outcome::Delivered { rejected: rejected(body) },
        408 | 429 | 502..=504 => Outcome::Later { after, trouble },
        500..=599 => Outcome::Doubtful(trouble),
        // Redirections too: OTLP knows none, and following one could carry the headers elsewhere.
        _ => Outcome::Never(trouble),
    }
}

fn by_code(status: &Status) -> Outcome {
    let no_answer = std::error::Error::source(status).is_some_and(|source| source.is::<NoAnswer>());
    if no_answer {
        return Outcome::Later { after: None, trouble: Trouble::Unreachable };
    }
    let after = retry_info(status.details());
    let trouble = Trouble::Grpc(status.code().into());
    match status.code() {
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss => Outcome::Later { after, trouble },
        // Only with a word on when: else it is this request that is too large.
        Code::ResourceExhausted if after.is_some() => Outcome::Later { after, trouble },
        Code::Unknown | Code::Internal => Outcome::Doubtful(trouble),
        _ => Outcome::Never(trouble),
    }
}

/// `Export…ServiceResponse`: what was refused of a request that was taken.
#[derive(Clone, PartialEq, Message)]
struct Answer {
    #[prost(message, optional, tag = "1")]
    partial_success: Option<PartialSuccess>,
}

#[derive(Clone, PartialEq, Message)]
struct PartialSuccess {
    #[prost(int64, tag = "1")]
    rejected: i64,
}

fn rejected(answer: &[u8]) -> u64 {
    // A Collector that answers in another way took everything, by its status.
    let answer = Answer::decode(answer).unwrap_or_default();
    answer.partial_success.map_or(0, |p| u64::try_from(p.rejected).unwrap_or(0))
}

/// Seconds, or a date.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    let pause = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let now = u64::try_from(crate::clock::now().0).ok()?;
            let at = httpdate::parse_http_date(text).ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
            at.saturating_sub(Duration::from_millis(now))
        }
    };
    Some(pause.min(MAX_PAUSE))
}

/// `google.rpc.Status`, as far as `RetryInfo` stands in it.
#[derive(Clone, PartialEq, Message)]
struct RpcStatus {
    #[prost(message, repeated, tag = "3")]
    details: Vec<Any>,
}

#[derive(Clone, PartialEq, Message)]
struct Any {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<Delay>,
}

#[derive(Clone, PartialEq, Message)]
struct Delay {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

fn retry_info(details: &[u8]) -> Option<Duration> {
    let status = RpcStatus::decode(details).ok()?;
    let found = status.details.iter().find(|any| any.type_url.ends_with("/google.rpc.RetryInfo"))?;
    let delay = RetryInfo::decode(found.value.as_slice()).ok()?.retry_delay.unwrap_or_default();
    let seconds = Duration::from_secs(u64::try_from(delay.seconds).unwrap_or(0));
    let nanos = Duration::from_nanos(u64::try_from(delay.nanos).unwrap_or(0));
    Some(seconds.saturating_add(nanos).min(MAX_PAUSE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_mean_what_otlp_says() {
        use Outcome::{Delivered, Doubtful, Later, Never};
        let by = |status: u16| by_status(StatusCode::from_u16(status).unwrap(), None, b"");
        for status in [200, 202, 204] {
            assert_eq!(by(status), Delivered { rejected: 0 });
        }
        for status in [408, 429, 502, 503, 504] {
            assert!(matches!(by(status), Later { .. }), "{status}");
        }
        for status in [301, 400, 401, 403, 404, 413, 422] {
            assert!(matches!(by(status), Never(Trouble::Http(told)) if told == status), "{status}");
        }
        assert!(matches!(by(500), Doubtful(_)) && matches!(by(501), Doubtful(_)));
        for (code, later) in [
            (Code::Unavailable, true),
            (Code::DeadlineExceeded, true),
            (Code::ResourceExhausted, false),
            (Code::InvalidArgument, false),
            (Code::Unauthenticated, false),
            (Code::Unimplemented, false),
        ] {
            let outcome = by_code(&Status::new(code, "told"));
            assert_eq!(matches!(outcome, Later { .. }), later, "{code:?}");
        }
        assert!(matches!(by_code(&Status::new(Code::Internal, "")), Doubtful(Trouble::Grpc(13))));
    }

    #[test]
    fn the_collectors_pause_is_read_in_both_protocols() {
        let headers = |text: &str| HeaderMap::from_iter([(header::RETRY_AFTER, text.parse().unwrap())]);
        assert_eq!(retry_after(&headers("7")), Some(Duration::from_secs(7)));
        assert_eq!(retry_after(&headers("999999999")), Some(MAX_PAUSE));
        assert_eq!(retry_after(&headers("soon")), None);
        let in_a_minute = std::time::SystemTime::UNIX_EPOCH
            + Duration::from_millis(u64::try_from(crate::clock::now().0).unwrap() + 60_000);
        let pause = retry_after(&headers(&httpdate::fmt_http_date(in_a_minute))).unwrap();
        assert!((Duration::from_secs(30)..=Duration::from_secs(61)).contains(&pause), "{pause:?}");

        let info = RetryInfo { retry_delay: Some(Delay { seconds: 2, nanos: 500_000_000 }) }.encode_to_vec();
        let any = |type_url: &str| Any { type_url: type_url.to_owned(), value: info.clone() };
        let details = |any| RpcStatus { details: vec![any] }.encode_to_vec();
        let told = details(any("type.googleapis.com/google.rpc.RetryInfo"));
        assert_eq!(retry_info(&told), Some(Duration::from_millis(2_500)));
        assert_eq!(retry_info(&details(any("type.googleapis.com/google.rpc.DebugInfo"))), None);
        assert_eq!(retry_info(b"\xff\xff"), None);
        let status = Status::with_details(Code::ResourceExhausted, "", told.into());
        assert!(matches!(by_code(&status), Outcome::Later { after: Some(_), .. }));
    }

    #[test]
    fn who_speaks_no_tls_at_an_https_endpoint_is_not_reached() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("https://{}", listener.local_addr().unwrap());
        let stranger = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            // It may be gone at once: what it was told is no TLS.
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        });
        let config = Forward::to(Endpoint::parse(&endpoint).unwrap());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let sender = match Sender::new(&config, "test") {
                Ok(sender) => sender,
                Err(SetupError::NoRoots) => {
                    // A system without authorities trusts nobody; it does not connect at all.
                    let _ = tokio::net::TcpStream::connect(endpoint.trim_start_matches("https://"))
                        .await
                        .unwrap();
                    return;
                }
                Err(error) => panic!("{error}"),
            };
            let outcome = sender.send(Signal::Logs, vec![0; 5_000]).await;
            assert_eq!(outcome, Outcome::Later { after: None, trouble: Trouble::Unreachable });
        });
        stranger.join().unwrap();
    }

    #[test]
    fn a_partial_success_is_counted() {
        let answer = Answer { partial_success: Some(PartialSuccess { rejected: 3 }) }.encode_to_vec();
        assert_eq!(rejected(&answer), 3);
        assert_eq!(rejected(b""), 0);
        assert_eq!(rejected(b"<html>"), 0);
    }
}
