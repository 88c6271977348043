//! A Collector that takes what it is sent, and answers as it is told.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::Read;
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderValue, Request, Response};
use bytes::{BufMut, Bytes, BytesMut};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpSocket;
use tokio::sync::watch;

/// Long enough for a busy machine; nothing waits as long unless it fails.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A request that was taken, or refused.
#[derive(Debug, Clone)]
pub struct Received {
    pub path: String,
    pub headers: HeaderMap,
    /// Inflated, and without gRPC's frame.
    pub body: Vec<u8>,
    /// What it was answered.
    pub answer: Answer,
    pub at: Instant,
}

/// What to answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Ok,
    /// The same, a while later.
    Late,
    /// An HTTP status, with `Retry-After`.
    Status(u16, Option<&'static str>),
    /// A gRPC code, with `grpc-status-details-bin`.
    Code(i32, Option<&'static str>),
    /// Never.
    Nothing,
}

/// Says what to answer to a body.
type Judge = Box<dyn Fn(&[u8]) -> Answer + Send>;

pub struct Collector {
    pub addr: SocketAddr,
    received: Receiver<Received>,
    /// Told first, one per request; then `judge` decides.
    pub answers: Arc<Mutex<VecDeque<Answer>>>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

/// A port nobody listens on, and nobody else can take while this is kept.
pub fn reserve() -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    socket
}

impl Collector {
    pub fn http() -> Self {
        Self::start(false, reserve(), Box::new(|_| Answer::Ok))
    }

    pub fn grpc() -> Self {
        Self::start(true, reserve(), Box::new(|_| Answer::Ok))
    }

    pub fn start(grpc: bool, port: TcpSocket, judge: Judge) -> Self {
        let addr = port.local_addr().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let listener = {
            let _entered = runtime.enter();
            port.listen(1_024).unwrap()
        };
        let (sender, received) = channel();
        let answers: Arc<Mutex<VecDeque<Answer>>> = Arc::default();
        let (stop, mut stopped) = watch::channel(false);
        let host = Arc::new(Host { grpc, answers: Arc::clone(&answers), judge: Mutex::new(judge), sender });
        let thread = std::thread::spawn(move || {
            runtime.block_on(async {
                loop {
                    let stream = tokio::select! {
                        _ = stopped.changed() => return,
                        accepted = listener.accept() => accepted.unwrap().0,
                    };
                    let host = Arc::clone(&host);
                    let service = hyper::service::service_fn(move |request| take(Arc::clone(&host), request));
                    tokio::spawn(async move {
                        let io = TokioIo::new(stream);
                        // A client that breaks off is its own affair.
                        if grpc {
                            let _ =
                                http2::Builder::new(TokioExecutor::new()).serve_connection(io, service).await;
                        } else {
                            let _ = http1::Builder::new().serve_connection(io, service).await;
                        }
                    });
                }
            });
        });
        Self { addr, received, answers, stop, thread: Some(thread) }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// The next request.
    #[track_caller]
    pub fn next(&self) -> Received {
        self.received.recv_timeout(PATIENCE).unwrap()
    }

    /// Requests that were taken until one of them satisfies `is_last`.
    #[track_caller]
    pub fn until(&self, is_last: impl Fn(&Received) -> bool) -> Vec<Received> {
        self.until_within(PATIENCE, is_last)
    }

    /// The same, with so much patience for each of them.
    #[track_caller]
    pub fn until_within(&self, patience: Duration, is_last: impl Fn(&Received) -> bool) -> Vec<Received> {
        let mut all = Vec::new();
        loop {
            let received = self.received.recv_timeout(patience).unwrap();
            let ends = is_last(&received);
            all.push(received);
            if ends {
                return all;
            }
        }
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        self.thread.take().unwrap().join().unwrap();
    }
}

struct Host {
    grpc: bool,
    answers: Arc<Mutex<VecDeque<Answer>>>,
    judge: Mutex<Judge>,
    sender: Sender<Received>,
}

type Body = http_body_util::combinators::UnsyncBoxBody<Bytes, Infallible>;

async fn take(host: Arc<Host>, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let (head, body) = request.into_parts();
    let Ok(body) = body.collect().await else { return Ok(Response::new(frames(vec![]))) };
    let mut body = body.to_bytes().to_vec();
    let mut is_gzip = head.headers.get("content-encoding").is_some_and(|v| v == "gzip");
    if host.grpc {
        is_gzip = body[0] == 1;
        body.drain(..5);
    }
    if is_gzip {
        let mut inflated = Vec::new();
        flate2::read::GzDecoder::new(&body[..]).read_to_end(&mut inflated).unwrap();
        body = inflated;
    }
    let told = host.answers.lock().unwrap().pop_front();
    let answer = told.unwrap_or_else(|| (host.judge.lock().unwrap())(&body));
    let path = head.uri.path().to_owned();
    // A test that has ended listens no more.
    let _ = host.sender.send(Received {
        path,
        headers: head.headers,
        body,
        answer: answer.clone(),
        at: Instant::now(),
    });
    Ok(respond(answer).await)
}

async fn respond(answer: Answer) -> Response<Body> {
    match answer {
        Answer::Nothing => std::future::pending().await,
        Answer::Status(status, after) => {
            let mut response = Response::new(frames(vec![]));
            *response.status_mut() = status.try_into().unwrap();
            if let Some(after) = after {
                response.headers_mut().insert("retry-after", HeaderValue::from_static(after));
            }
            response
        }
        // An empty answer over HTTP; over gRPC the same within a frame, and trailers, which HTTP/1 leaves out.
        Answer::Ok | Answer::Late => {
            if answer == Answer::Late {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            let trailers =
                HeaderMap::from_iter([("grpc-status".parse().unwrap(), HeaderValue::from_static("0"))]);
            let mut message = BytesMut::new();
            message.put_slice(&[0, 0, 0, 0, 0]);
            let mut response =
                Response::new(frames(vec![Frame::data(message.freeze()), Frame::trailers(trailers)]));
            response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
            response
        }
        Answer::Code(code, details) => {
            let mut response = Response::new(frames(vec![]));
            let headers = response.headers_mut();
            headers.insert("content-type", HeaderValue::from_static("application/grpc"));
            headers.insert("grpc-status", code.to_string().parse().unwrap());
            if let Some(details) = details {
                headers.insert("grpc-status-details-bin", HeaderValue::from_static(details));
            }
            response
        }
    }
}

fn frames(frames: Vec<Frame<Bytes>>) -> Body {
    StreamBody::new(futures_util::stream::iter(frames.into_iter().map(Ok))).boxed_unsync()
}
