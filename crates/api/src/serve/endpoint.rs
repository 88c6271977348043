//! `endpoint.json`: where a running engine can be reached, for programs that look for it.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::ServeError;

/// File name inside the data directory.
const ENDPOINT_NAME: &str = "endpoint.json";

/// Its content.
#[derive(Debug, Serialize, Deserialize)]
struct Endpoint {
    /// `127.0.0.1:4318`.
    http: String,
    /// Address of the gRPC listener, `null` where there is none.
    grpc: Option<String>,
    /// The process that serves.
    pid: u32,
    /// The control socket.
    socket: PathBuf,
}

/// Writes it atomically with mode 0600 and returns where.
pub(super) fn write(
    data_dir: &Path,
    http: SocketAddr,
    grpc: Option<SocketAddr>,
    socket: &Path,
) -> Result<PathBuf, ServeError> {
    let path = data_dir.join(ENDPOINT_NAME);
    let endpoint = Endpoint {
        http: http.to_string(),
        grpc: grpc.map(|addr| addr.to_string()),
        pid: std::process::id(),
        socket: socket.to_owned(),
    };
    let bytes = serde_json::to_vec(&endpoint).map_err(io::Error::from);
    match bytes.and_then(|bytes| write_private(&path, &bytes)) {
        Ok(()) => Ok(path),
        Err(source) => Err(ServeError::File { path, source }),
    }
}

/// Replaces `path` with `bytes` in one step, readable by its owner only.
pub(super) fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = path.with_file_name(name);
    // One left behind by a process that had our id and was killed between the two steps.
    match std::fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let written = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        })
        .and_then(|()| std::fs::rename(&temporary, path));
    if written.is_err() {
        // The first error is the one to tell; a temporary file that stays is replaced the next time.
        let _ = std::fs::remove_file(&temporary);
    }
    written
}
