//! OTLP over gRPC: the Export calls of LogsService, TraceService and MetricsService on a listener of their own.
//!
//! Messages are handed on as bytes, so that both transports share one decoder and its bounds; tonic does the framing,
//! inflates within the same bound, and writes the status.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{self, HeaderMap, StatusCode, Uri, header};
use bytes::Bytes;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use lamplight_engine::forward::BytesCodec;
use lamplight_engine::sources::otlp::{Encoding, Signal, response_bytes};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tonic::codec::CompressionEncoding;
use tonic::server::{Grpc, UnaryService};
use tonic::{Code, Status};

use super::guard;
use super::otlp::{BODY_TIMEOUT, Intake, MAX_BODY_BYTES, Refused};
use super::peer::{Peer, Peers};

/// Where gRPC listens unless told otherwise: the port exporters use by default.
pub const DEFAULT_GRPC: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 4317);

/// Connections at a time. An exporter keeps one open for its life, and every session may have one per signal.
const MAX_CONNECTIONS: usize = 256;
/// Calls of one connection at a time; exporters make one per signal.
const MAX_STREAMS: u32 = 16;
/// Calls at a time: each may hold a message of 20 MiB. The others wait, unread.
const MAX_CALLS: usize = 4;
/// Time for a connection to say that it speaks HTTP/2.
const PREFACE_TIMEOUT: Duration = Duration::from_secs(10);
/// Length of what it says.
const PREFACE_BYTES: usize = 24;
/// Pause between two looks at a preface that arrives in parts.
const PREFACE_PAUSE: Duration = Duration::from_millis(20);
/// How often a silent connection is asked whether anybody is there, and how long it may take to answer.
const KEEP_ALIVE: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(20));
/// Largest head of a call.
const MAX_HEADER_BYTES: u32 = 16 * 1024;
/// Pause after a failed accept, as over HTTP.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Time running calls get to finish when the server stops.
const DRAIN: Duration = Duration::from_secs(2);

/// Serves until `stop` says so. The connections' tasks are owned here and end with it.
pub(super) async fn serve(listener: TcpListener, port: u16, intake: Intake, mut stop: watch::Receiver<bool>) {
    let free = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let (peers, calls) = (Peers::new(), Arc::new(Semaphore::new(MAX_CALLS)));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            // Err means the sender is gone, which is a stop as well.
            _ = stop.wait_for(|stop| *stop) => break,
            // Ended tasks are let go of as they end; what failed in one was answered there.
            Some(_) = connections.join_next() => continue,
            accepted = async {
                let permit = Arc::clone(&free).acquire_owned().await.map_err(std::io::Error::other)?;
                listener.accept().await.map(|(stream, peer)| (stream, peer, permit))
            } => accepted,
        };
        match accepted {
            Ok((stream, peer, permit)) => {
                let peer = stream.local_addr().map_or(Peer::Other, |own| peers.of(peer, own));
                let (intake, calls, stop) = (intake.clone(), Arc::clone(&calls), stop.clone());
                let host = Host { intake, port, peer, calls };
                connections.spawn(async move {
                    connection(stream, host, stop).await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a gRPC connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    let drained = tokio::time::timeout(DRAIN, async { while connections.join_next().await.is_some() {} });
    if drained.await.is_err() {
        tracing::warn!("some gRPC calls did not finish in time and were cut");
    }
}

async fn connection(stream: TcpStream, host: Host, mut stop: watch::Receiver<bool>) {
    if !matches!(tokio::time::timeout(PREFACE_TIMEOUT, begins(&stream)).await, Ok(true)) {
        return;
    }
    let service = hyper::service::service_fn(move |request| {
        let host = host.clone();
        async move { Ok::<_, std::convert::Infallible>(call(host, request).await) }
    });
    let (interval, timeout) = KEEP_ALIVE;
    let serving = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEADER_BYTES)
        .keep_alive_interval(interval)
        .keep_alive_timeout(timeout)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(serving);
    let ended = tokio::select! {
        ended = &mut serving => Some(ended),
        _ = stop.wait_for(|stop| *stop) => None,
    };
    if ended.is_none() {
        serving.as_mut().graceful_shutdown();
        // A client that went away is its own affair.
        let _ = serving.await;
    }
}

/// Waits until a connection has sent the preface of HTTP/2, without taking it off the stream.
async fn begins(stream: &TcpStream) -> bool {
    let mut preface = [0; PREFACE_BYTES];
    loop {
        match stream.peek(&mut preface).await {
            Ok(PREFACE_BYTES) => return true,
            Ok(0) | Err(_) => return false,
            // `peek` returns at once with what is there; more of it cannot be awaited.
            Ok(_) => tokio::time::sleep(PREFACE_PAUSE).await,
        }
    }
}

#[derive(Clone)]
struct Host {
    intake: Intake,
    port: u16,
    peer: Peer,
    calls: Arc<Semaphore>,
}

type Answer = http::Response<tonic::body::Body>;

async fn call(host: Host, request: http::Request<hyper::body::Incoming>) -> Answer {
    if !is_grpc(request.headers()) {
        return refuse_http(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
    if let Err(error) = check_caller(request.headers(), request.uri(), host.port) {
        return error.into_http();
    }
    if let Err(refused) = host.intake.check_sender(request.headers(), host.peer) {
        return status(&refused).into_http();
    }
    let signal = match request.uri().path() {
        "/opentelemetry.proto.collector.logs.v1.LogsService/Export" => Signal::Logs,
        "/opentelemetry.proto.collector.trace.v1.TraceService/Export" => Signal::Traces,
        "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export" => Signal::Metrics,
        _ => return Status::unimplemented("Only the Export calls of OTLP are served here.").into_http(),
    };
    let mut grpc = Grpc::new(BytesCodec)
        .accept_compressed(CompressionEncoding::Gzip)
        .max_decoding_message_size(MAX_BODY_BYTES);
    let export = Export { intake: host.intake, signal };
    let answered = tokio::time::timeout(BODY_TIMEOUT, async {
        let _turn = host.calls.acquire().await;
        grpc.unary(export, request).await
    });
    // It was not answered in time: what it held is dropped, and it may be sent again.
    answered.await.unwrap_or_else(|_| Status::unavailable(Refused::TimedOut.message()).into_http())
}

fn is_grpc(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(only), None) = (types.next(), types.next()) else { return false };
    let essence = only.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    matches!(essence, "application/grpc" | "application/grpc+proto")
}

/// As over HTTP; in HTTP/2 the host stands in the address.
fn check_caller(headers: &HeaderMap, uri: &Uri, port: u16) -> Result<(), Status> {
    let mut seen = headers.clone();
    if let Some(host) = uri.authority().and_then(|a| a.as_str().parse().ok())
        && !seen.contains_key(header::HOST)
    {
        seen.insert(header::HOST, host);
    }
    guard::check_caller(&seen, uri, port).map_err(|error| Status::permission_denied(error.message))
}

fn refuse_http(code: StatusCode) -> Answer {
    let mut response = http::Response::new(tonic::body::Body::empty());
    *response.status_mut() = code;
    response
}

fn status(refused: &Refused) -> Status {
    Status::new(Code::from_i32(refused.rpc_code()), refused.message())
}

/// One Export call.
struct Export {
    intake: Intake,
    signal: Signal,
}

impl UnaryService<Bytes> for Export {
    type Response = Vec<u8>;
    type Future = Pin<Box<dyn Future<Output = Result<tonic::Response<Vec<u8>>, Status>> + Send>>;

    fn call(&mut self, request: tonic::Request<Bytes>) -> Self::Future {
        let (intake, signal) = (self.intake.clone(), self.signal);
        Box::pin(async move {
            let taken = intake.take(signal, Encoding::Protobuf, false, request.into_inner()).await;
            match taken {
                Ok(partial) => Ok(tonic::Response::new(response_bytes(signal, Encoding::Protobuf, &partial))),
                Err(refused) => Err(status(&refused)),
            }
        })
    }
}
