//! Binding: the HTTP listener and the control socket.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use super::{DEFAULT_GRPC, GrpcAddress, ServeError};
use crate::socket;

/// A bound HTTP listener.
pub(super) struct Http {
    pub(super) listener: TcpListener,
    pub(super) addr: SocketAddr,
    /// The address that was taken.
    pub(super) moved_from: Option<SocketAddr>,
}

/// Binds `addr`; when it is taken and was not asked for, any free port of the same address.
pub(super) fn bind_http(addr: SocketAddr, explicit: bool) -> Result<Http, ServeError> {
    if !addr.ip().is_loopback() {
        return Err(ServeError::NotLoopback { addr });
    }
    let (bound, moved_from) = match TcpListener::bind(addr) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && !explicit && addr.port() != 0 => {
            (TcpListener::bind(SocketAddr::new(addr.ip(), 0)), Some(addr))
        }
        bound => (bound, None),
    };
    let bind_error = |source| ServeError::Bind { addr, source };
    let listener = bound.map_err(bind_error)?;
    let addr = listener.local_addr().map_err(bind_error)?;
    Ok(Http { listener, addr, moved_from })
}

/// A bound gRPC listener, or the address that was taken.
pub(super) struct GrpcListener {
    pub(super) listener: Option<TcpListener>,
    pub(super) addr: Option<SocketAddr>,
    pub(super) taken: Option<SocketAddr>,
}

/// Binds the gRPC listener. Exporters know no other address than the one they were told, so that it never moves.
pub(super) fn bind_grpc(wanted: GrpcAddress) -> Result<GrpcListener, ServeError> {
    let (addr, is_explicit) = match wanted {
        GrpcAddress::Off => return Ok(GrpcListener { listener: None, addr: None, taken: None }),
        GrpcAddress::Default => (DEFAULT_GRPC, false),
        GrpcAddress::At(addr) => (addr, true),
    };
    if !addr.ip().is_loopback() {
        return Err(ServeError::NotLoopback { addr });
    }
    let bound = TcpListener::bind(addr).and_then(|listener| listener.local_addr().map(|at| (listener, at)));
    match bound {
        Ok((listener, at)) => Ok(GrpcListener { listener: Some(listener), addr: Some(at), taken: None }),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && !is_explicit => {
            Ok(GrpcListener { listener: None, addr: None, taken: Some(addr) })
        }
        Err(source) => Err(ServeError::BindGrpc { addr, source }),
    }
}

/// The control socket's place in the file system.
#[derive(Debug)]
pub(super) struct ControlSocket {
    pub(super) path: PathBuf,
    /// Device and inode of our own socket: one that another process put in its place is not ours to remove.
    own: (u64, u64),
}

impl ControlSocket {
    /// Binds the socket of `data_dir`. One left behind by a killed engine is replaced; one that answers is not.
    ///
    /// It is bound under another name, made private, and then renamed, so that it is never open to others.
    pub(super) fn bind(data_dir: &Path) -> Result<(Self, UnixListener), ServeError> {
        let path = socket::socket_path(data_dir);
        if socket::connect(data_dir).is_ok() {
            return Err(ServeError::SocketInUse { path });
        }
        let name = format!("{}.{}", socket::SOCKET_NAME, std::process::id());
        let temporary = data_dir.join(&name);
        let bound = (|| {
            match std::fs::remove_file(&temporary) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let listener = socket::bind(data_dir, &name)?;
            std::fs::set_permissions(&temporary, std::fs::Permissions::from_mode(0o600))?;
            std::fs::rename(&temporary, &path)?;
            let metadata = std::fs::symlink_metadata(&path)?;
            Ok((listener, (metadata.dev(), metadata.ino())))
        })();
        match bound {
            Ok((listener, own)) => Ok((Self { path, own }, listener)),
            Err(source) => {
                // The first error is the one to tell; the name carries our pid and is reused the next time.
                let _ = std::fs::remove_file(&temporary);
                Err(ServeError::Socket { path, source })
            }
        }
    }

    /// Removes the socket if it is still ours.
    pub(super) fn remove(&self) {
        let is_own = std::fs::symlink_metadata(&self.path).is_ok_and(|m| (m.dev(), m.ino()) == self.own);
        if is_own {
            super::remove_if_there(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_moves_unless_it_was_asked_for() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = taken.local_addr().unwrap();
        let moved = bind_http(addr, false).unwrap();
        assert_ne!(moved.addr, addr);
        assert_eq!(moved.moved_from, Some(addr));
        assert!(matches!(bind_http(addr, true), Err(ServeError::Bind { .. })));
    }

    #[test]
    fn only_loopback_is_bound() {
        for addr in ["0.0.0.0:0", "192.0.2.1:0", "[::]:0"] {
            assert!(
                matches!(bind_http(addr.parse().unwrap(), true), Err(ServeError::NotLoopback { .. })),
                "{addr}"
            );
        }
    }

    #[test]
    fn a_dead_socket_is_replaced_and_a_live_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        drop(UnixListener::bind(dir.path().join("lamp.sock")).unwrap());
        let (first, _listener) = ControlSocket::bind(dir.path()).unwrap();
        assert_eq!(std::fs::metadata(&first.path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(matches!(ControlSocket::bind(dir.path()), Err(ServeError::SocketInUse { .. })));
        first.remove();
        assert!(!first.path.exists());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_data_directory_deeper_than_a_socket_address_works() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("d".repeat(90)).join("e".repeat(90));
        std::fs::create_dir_all(&deep).unwrap();
        let (socket, listener) = ControlSocket::bind(&deep).unwrap();
        let client = std::thread::spawn({
            let deep = deep.clone();
            move || socket::connect(&deep).is_ok()
        });
        listener.accept().unwrap();
        assert!(client.join().unwrap());
        socket.remove();
        assert_eq!(std::fs::read_dir(&deep).unwrap().count(), 0, "nothing is left behind");
    }

    #[test]
    fn somebody_elses_socket_stays() {
        let dir = tempfile::tempdir().unwrap();
        let (ours, _listener) = ControlSocket::bind(dir.path()).unwrap();
        std::fs::remove_file(&ours.path).unwrap();
        let _theirs = UnixListener::bind(&ours.path).unwrap();
        ours.remove();
        assert!(ours.path.exists());
    }
}
