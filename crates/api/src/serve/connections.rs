//! Accepting connections, within limits that a stranger cannot exceed.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Semaphore, watch};
use tower::Layer;

use super::peer::{Peer, Peers};

/// Connections of one listener at a time; the next ones wait in the kernel's backlog. Far above what a UI with its
/// stream, a few exporters and scripts open, and far below the usual limit of 1,024 open files.
const MAX_CONNECTIONS: usize = 256;
/// Time for a request's head to arrive whole; also how long an idle connection is kept.
const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(10);
/// Largest request head: what browsers send is under 8 KiB.
const MAX_HEADER_BYTES: usize = 32 * 1024;
/// Pause after a failed accept (out of file descriptors): accepting again at once would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Time running requests get to finish when the server stops.
const DRAIN: Duration = Duration::from_secs(2);

/// A listener.
pub(super) enum Incoming {
    /// Loopback HTTP.
    Tcp(TcpListener),
    /// The control socket.
    Unix(UnixListener),
}

/// Serves every listener until `stop` says so, then drains.
pub(super) async fn serve_all(incoming: Vec<(Incoming, Router)>, stop: watch::Receiver<bool>) {
    let mut listeners = tokio::task::JoinSet::new();
    for (listener, router) in incoming {
        listeners.spawn(serve(listener, router, stop.clone()));
    }
    while let Some(ended) = listeners.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "a listener ended with a panic");
        }
    }
}

async fn serve(listener: Incoming, router: Router, mut stop: watch::Receiver<bool>) {
    let (free, peers) = (Arc::new(Semaphore::new(MAX_CONNECTIONS)), Peers::new());
    let open = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            // Err means the sender is gone, which is a stop as well.
            _ = stop.wait_for(|stop| *stop) => break,
            accepted = accept(&listener, &free, peers) => accepted,
        };
        match accepted {
            Ok((stream, peer, permit)) => {
                let service = Extension(peer).layer(router.clone());
                let connection = open.watch(
                    http1::Builder::new()
                        .timer(TokioTimer::new())
                        .header_read_timeout(HEADER_READ_TIMEOUT)
                        .max_header_size(MAX_HEADER_BYTES)
                        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service)),
                );
                tokio::spawn(async move {
                    // A client that went away mid-request is its own affair; what failed here was answered and logged there.
                    let _ = connection.await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    if tokio::time::timeout(DRAIN, open.shutdown()).await.is_err() {
        tracing::warn!("some requests did not finish in time and were cut");
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

async fn accept(
    listener: &Incoming,
    free: &Arc<Semaphore>,
    peers: Peers,
) -> io::Result<(Box<dyn Stream>, Peer, tokio::sync::OwnedSemaphorePermit)> {
    let permit = Arc::clone(free).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, peer): (Box<dyn Stream>, Peer) = match listener {
        Incoming::Tcp(listener) => {
            let (stream, peer) = listener.accept().await?;
            // Changes are small writes that somebody waits for.
            stream.set_nodelay(true)?;
            let peer = peers.of(peer, stream.local_addr()?);
            (Box::new(stream), peer)
        }
        // Nobody else can open it.
        Incoming::Unix(listener) => (Box::new(listener.accept().await?.0), Peer::Own),
    };
    Ok((stream, peer, permit))
}
