//! The control socket's name, and the way around the length limit of socket addresses.

use std::io;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// File name of the control socket inside the data directory.
pub const SOCKET_NAME: &str = "lamp.sock";

/// Longest path a socket address holds on every Unix we know (macOS has 104 bytes with the final zero, Linux 108).
const MAX_ADDRESS_BYTES: usize = 103;

/// Returns where the control socket of `data_dir` is.
#[must_use]
pub fn socket_path(data_dir: &Path) -> PathBuf {
    data_dir.join(SOCKET_NAME)
}

/// Connects to the control socket of `data_dir`, however long its path is.
///
/// # Errors
/// Whatever the system says: no such file, nobody listens, not permitted.
pub fn connect(data_dir: &Path) -> io::Result<UnixStream> {
    at(data_dir, SOCKET_NAME, |path| UnixStream::connect(path))
}

/// Binds a socket called `name` inside `data_dir`.
pub(crate) fn bind(data_dir: &Path, name: &str) -> io::Result<UnixListener> {
    at(data_dir, name, |path| UnixListener::bind(path))
}

/// Runs `action` with a path to `dir/name` that fits into a socket address: through the open directory's entry under
/// `/proc/self/fd` where the plain path is too long. Elsewhere than on Linux such a path stays an error.
fn at<T>(dir: &Path, name: &str, action: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    let plain = dir.join(name);
    if !cfg!(target_os = "linux") || plain.as_os_str().len() <= MAX_ADDRESS_BYTES {
        return action(&plain);
    }
    let open = std::fs::File::open(dir)?;
    let fd = std::os::fd::AsRawFd::as_raw_fd(&open);
    action(&PathBuf::from(format!("/proc/self/fd/{fd}")).join(name))
}
