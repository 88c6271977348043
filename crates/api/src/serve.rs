//! The local server: one control socket and one loopback HTTP listener in front of a running engine.
//!
//! [`spawn`] binds everything before it returns, so that a taken port or an unwritable folder is an error of the caller,
//! then serves from a thread of its own until [`Served::shutdown`]. The socket is protected by its file mode and the
//! data directory's; HTTP by token, `Host` and `Origin` (see [`guard`]). No request runs SQLite on the async thread.

mod connections;
mod endpoint;
mod grpc;
pub mod guard;
mod listeners;
mod metrics;
mod otlp;
mod peer;
mod routes;
mod stream;
pub mod token;
mod ui;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use lamplight_engine::Engine;
use tokio::sync::watch;

pub use grpc::DEFAULT_GRPC;

use connections::Incoming;
use listeners::ControlSocket;
use token::Token;

/// Where HTTP listens unless told otherwise: the port OTLP exporters use by default.
pub const DEFAULT_HTTP: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 4318);

/// Requests that may wait for SQLite at the same time; more would only queue inside SQLite.
const MAX_BLOCKING_THREADS: usize = 4;

/// Commands of them that may wait for the writer, which may be busy for long: what only reads is answered meanwhile.
const MAX_WAITING_COMMANDS: usize = 2;

/// What to serve, and where.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// Address of the HTTP listener; [`DEFAULT_HTTP`] when `None`. Only loopback addresses are accepted; port 0 takes
    /// any free port.
    pub http: Option<SocketAddr>,
    /// The address was asked for: a taken port is an error instead of a move to a free one.
    pub explicit: bool,
    /// The engine's data directory; socket, token and `endpoint.json` live there.
    pub data_dir: PathBuf,
    /// Serve the browser UI at `/`.
    pub ui: bool,
}

/// Where OTLP over gRPC listens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum GrpcAddress {
    /// Nowhere.
    #[default]
    Off,
    /// At [`DEFAULT_GRPC`]; when another program holds it, nowhere, which the health of the source tells.
    Default,
    /// At this address; when it is taken, that is an error. Only loopback addresses are accepted.
    At(SocketAddr),
}

/// Why serving could not start; nothing is left behind.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address would be reachable from other machines.
    #[error(
        "{addr} is not a loopback address: Lamplight is reachable from this machine only. Use 127.0.0.1 or [::1]."
    )]
    NotLoopback {
        /// The address asked for.
        addr: SocketAddr,
    },
    /// The HTTP listener cannot be bound.
    #[error(
        "cannot listen on {addr}: {source}. Choose another address with --http, or port 0 for any free one."
    )]
    Bind {
        /// The address.
        addr: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The gRPC listener cannot be bound.
    #[error(
        "cannot listen on {addr} for OTLP over gRPC: {source}. Choose another address with --grpc, or port 0 for any free one."
    )]
    BindGrpc {
        /// The address.
        addr: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// Another program answers on the control socket.
    #[error("another Lamplight already answers on {path}. Stop it first, or use another data directory.")]
    SocketInUse {
        /// The socket.
        path: PathBuf,
    },
    /// The control socket cannot be made.
    #[error("cannot make the control socket {path}: {source}. Check that its folder exists and is writable.")]
    Socket {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The token or `endpoint.json` cannot be read or written.
    #[error("cannot write {path}: {source}. Check that its folder is writable and the disk is not full.")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The browser UI was asked for and is not part of this build.
    #[error(
        "this build carries no browser UI. Build the frontend first (npm ci && npm run build in frontend/), then lamp again."
    )]
    NoUi,
    /// The thread that serves cannot be started.
    #[error("cannot start the thread that serves: {source}")]
    Thread {
        /// What the system said.
        source: io::Error,
    },
}

/// A server that runs until it is shut down or dropped.
#[derive(Debug)]
pub struct Served {
    /// Address HTTP listens on.
    pub http: SocketAddr,
    /// Address that was taken, when the listener had to move.
    pub moved_from: Option<SocketAddr>,
    /// Address OTLP over gRPC is received on.
    pub grpc: Option<SocketAddr>,
    /// Address for it that another program holds.
    pub grpc_taken: Option<SocketAddr>,
    /// File with the bearer token.
    pub token_file: PathBuf,
    /// Address of the browser UI with the token in its fragment, when it is served.
    pub ui_url: Option<String>,
    running: Running,
}

impl Served {
    /// Removes `endpoint.json` and the socket, ends the streams, lets running requests finish, and returns when the
    /// thread has ended. The engine goes on; shut it down afterwards.
    pub fn shutdown(self) {
        self.running.shutdown();
    }
}

/// The serving thread, and what to remove when it stops. Dropping it stops it.
#[derive(Debug)]
pub struct Running {
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
    endpoint: Option<PathBuf>,
    socket: ControlSocket,
}

impl Running {
    /// Stops serving; see [`Served::shutdown`].
    pub fn shutdown(self) {
        drop(self);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Names first, so that nobody finds an address that is about to close.
        if let Some(endpoint) = &self.endpoint {
            remove_if_there(endpoint);
        }
        self.socket.remove();
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the serving thread ended with a panic");
        }
    }
}

/// Serves `engine` on the control socket and over HTTP, without a gRPC listener.
///
/// # Errors
/// [`ServeError`]; what was bound is released again.
pub fn spawn(engine: Engine, options: ServeOptions) -> Result<Served, ServeError> {
    spawn_with(engine, options, GrpcAddress::Off)
}

/// Serves `engine` on the control socket, over HTTP, and telemetry over gRPC.
///
/// # Errors
/// [`ServeError`]; what was bound is released again.
pub fn spawn_with(engine: Engine, options: ServeOptions, grpc: GrpcAddress) -> Result<Served, ServeError> {
    if options.ui && !ui::is_built() {
        return Err(ServeError::NoUi);
    }
    let (token, token_file) = token::load_or_create(&options.data_dir)?;
    let http = listeners::bind_http(options.http.unwrap_or(DEFAULT_HTTP), options.explicit)?;
    let chosen = engine.config().otlp_token.as_deref().map(Token::chosen).transpose();
    let otlp_token = chosen.map_err(|source| ServeError::File { path: token_file.clone(), source })?;
    let grpc = listeners::bind_grpc(grpc)?;
    let (socket, unix) = ControlSocket::bind(&options.data_dir)?;
    let mut running = Running { stop: watch::Sender::new(false), thread: None, endpoint: None, socket };
    let endpoint = endpoint::write(&options.data_dir, http.addr, grpc.addr, &running.socket.path)?;
    running.endpoint = Some(endpoint);
    let ui_url = options.ui.then(|| format!("http://{}/#token={}", http.addr, token.as_str()));
    let intake = otlp::Intake::new(engine.clone(), otlp_token);
    let over_http = HttpHost { token, port: http.addr.port(), ui: options.ui, intake: intake.clone() };
    engine.set_receiver(lamplight_engine::facts::Receiver {
        listening: [Some(http.addr), grpc.addr].into_iter().flatten().map(|a| a.to_string()).collect(),
        taken: [http.moved_from, grpc.taken].into_iter().flatten().map(|a| a.to_string()).collect(),
    });
    let (grpc_addr, grpc_taken) = (grpc.addr, grpc.taken);
    let over_grpc = grpc.listener.zip(grpc.addr).map(|(listener, addr)| (listener, addr.port(), intake));
    running.thread = Some(start(engine, unix, Some((http.listener, over_http)), over_grpc, &running.stop)?);
    Ok(Served {
        http: http.addr,
        moved_from: http.moved_from,
        grpc: grpc_addr,
        grpc_taken,
        token_file,
        ui_url,
        running,
    })
}

/// Serves `engine` on the control socket alone, for a host that only wants other `lamp` commands to find it.
///
/// # Errors
/// [`ServeError`]; what was bound is released again.
pub fn spawn_socket(engine: Engine, data_dir: &Path) -> Result<Running, ServeError> {
    let (socket, unix) = ControlSocket::bind(data_dir)?;
    let mut running = Running { stop: watch::Sender::new(false), thread: None, endpoint: None, socket };
    running.thread = Some(start(engine, unix, None, None, &running.stop)?);
    Ok(running)
}

/// What the HTTP host knows beyond the engine.
struct HttpHost {
    token: Token,
    port: u16,
    ui: bool,
    intake: otlp::Intake,
}

fn start(
    engine: Engine,
    unix: std::os::unix::net::UnixListener,
    http: Option<(std::net::TcpListener, HttpHost)>,
    grpc: Option<(std::net::TcpListener, u16, otlp::Intake)>,
    stop: &watch::Sender<bool>,
) -> Result<JoinHandle<()>, ServeError> {
    let thread_error = |source| ServeError::Thread { source };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(MAX_BLOCKING_THREADS)
        .thread_name("lamplight-serve-blocking")
        .build()
        .map_err(thread_error)?;
    let app = routes::App::new(engine, stop.subscribe());
    let (mut incoming, mut over_grpc) = (Vec::new(), None);
    {
        let _inside = runtime.enter();
        unix.set_nonblocking(true).map_err(thread_error)?;
        let unix = tokio::net::UnixListener::from_std(unix).map_err(thread_error)?;
        incoming.push((Incoming::Unix(unix), routes::control(app.clone())));
        if let Some((listener, host)) = http {
            listener.set_nonblocking(true).map_err(thread_error)?;
            let listener = tokio::net::TcpListener::from_std(listener).map_err(thread_error)?;
            incoming.push((Incoming::Tcp(listener), routes::http(app, host)));
        }
        if let Some((listener, port, intake)) = grpc {
            listener.set_nonblocking(true).map_err(thread_error)?;
            let listener = tokio::net::TcpListener::from_std(listener).map_err(thread_error)?;
            over_grpc = Some(grpc::serve(listener, port, intake, stop.subscribe()));
        }
    }
    let stop = stop.subscribe();
    std::thread::Builder::new()
        .name("lamplight-serve".to_owned())
        .spawn(move || {
            runtime.block_on(async {
                let over_grpc = async {
                    if let Some(serving) = over_grpc {
                        serving.await;
                    }
                };
                tokio::join!(connections::serve_all(incoming, stop), over_grpc);
            });
            // A request that still waits for SQLite is given up: its client is gone or will be told so by the socket.
            runtime.shutdown_background();
        })
        .map_err(thread_error)
}

fn remove_if_there(path: &Path) {
    match std::fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => tracing::warn!(path = %path.display(), %error, "cannot remove a file on exit"),
    }
}
