//! Programs that a test writes and runs at once.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// Writes a shell script. A child does it: whatever another test starts while the file is open for writing here holds it
/// open too for a moment, and such a file cannot be run.
pub fn write_program(path: &Path, script: &str) {
    let mut child = Command::new("sh")
        .args(["-c", "cat > \"$1\" && chmod 755 \"$1\"", "sh"])
        .arg(path)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    write!(child.stdin.take().unwrap(), "#!/bin/sh\n{script}\n").unwrap();
    assert!(child.wait().unwrap().success(), "{}", path.display());
}
