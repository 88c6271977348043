//! The addresses exporters send to: ours, free, or whose.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use lamplight_model::view::{DoctorCheck, Status};

use super::{Patient, fail, ok, warn};

const ABOUT: &str = "Ports";
/// Where exporters send by default: OTLP over HTTP, then over gRPC.
const DEFAULT: [u16; 2] = [4318, 4317];

pub(super) fn checks(patient: Patient<'_>) -> Vec<DoctorCheck> {
    match patient {
        Patient::Running(status) => vec![running(status)],
        Patient::Silent => DEFAULT.map(free).to_vec(),
    }
}

fn running(status: &Status) -> DoctorCheck {
    let Some(source) = status.sources.iter().find(|source| source.name == "otlp") else {
        return warn(
            "ports",
            ABOUT,
            "Telemetry is not received: nothing listens.",
            "Start it as lamp serve, or as the app.",
        );
    };
    let taken: Vec<&str> = source
        .issues
        .iter()
        .filter(|issue| issue.kind == "port_taken")
        .map(|issue| issue.message.as_str())
        .collect();
    if taken.is_empty() {
        return ok("ports", ABOUT, format!("Telemetry is received at {}.", source.path));
    }
    let holders: Vec<String> = DEFAULT
        .iter()
        .filter(|port| taken.iter().any(|message| message.contains(&format!(":{port}"))))
        .map(|port| format!("{port} is held by {}", holder(*port)))
        .collect();
    warn(
        "ports",
        ABOUT,
        format!("{} ({}.)", taken.join(" "), holders.join("; ")),
        "Stop that program and start Lamplight again, or have agents send to the address Lamplight moved to.",
    )
}

fn free(port: u16) -> DoctorCheck {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    match TcpListener::bind(address) {
        Ok(_) => ok("ports", ABOUT, format!("{address} is free.")),
        Err(e) if e.kind() == std::io::ErrorKind::AddrInUse => warn(
            "ports",
            ABOUT,
            format!("{address} is taken by {}; telemetry sent there would not arrive here.", holder(port)),
            "Stop that program before Lamplight starts, or have agents send to the address Lamplight moves to.",
        ),
        Err(e) => fail(
            "ports",
            ABOUT,
            format!("Nothing can listen on {address}: {e}."),
            "Allow it, or look at the firewall.",
        ),
    }
}

/// The program that listens on a loopback port, as far as it can be seen.
fn holder(port: u16) -> String {
    let found = listening_inodes(port).into_iter().find_map(|inode| owner(&inode));
    found.map_or_else(
        || "a program that cannot be seen from here".to_owned(),
        |(pid, name)| format!("{name} (process {pid})"),
    )
}

/// Inodes of sockets that listen on a port, by the kernel's tables.
fn listening_inodes(port: u16) -> Vec<String> {
    /// State of a listening socket in `/proc/net/tcp`.
    const LISTEN: &str = "0A";
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    let lines = tables.iter().filter_map(|table| std::fs::read_to_string(table).ok());
    let mut inodes = Vec::new();
    for table in lines {
        for line in table.lines().skip(1) {
            let fields: Vec<&str> = line.split_ascii_whitespace().collect();
            let local = fields.get(1).and_then(|address| address.rsplit_once(':')).map(|(_, port)| port);
            if local == Some(format!("{port:04X}").as_str())
                && fields.get(3) == Some(&LISTEN)
                && let Some(inode) = fields.get(9)
            {
                inodes.push((*inode).to_owned());
            }
        }
    }
    inodes
}

/// The process that has a socket open, and its name; only the user's own can be looked into.
fn owner(inode: &str) -> Option<(u32, String)> {
    let wanted = format!("socket:[{inode}]");
    for entry in std::fs::read_dir("/proc").ok()?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let Ok(files) = std::fs::read_dir(entry.path().join("fd")) else { continue };
        let has_it = files.flatten().any(|file| {
            std::fs::read_link(file.path()).is_ok_and(|link| link.as_os_str() == wanted.as_str())
        });
        if has_it {
            let name = std::fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
            let name: String =
                name.trim().chars().filter(|c| !lamplight_model::label::is_unsafe(*c)).collect();
            return Some((pid, if name.is_empty() { "a program".to_owned() } else { name }));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use lamplight_model::view::DoctorState;

    use super::*;

    #[test]
    fn a_taken_port_names_the_program_that_holds_it() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let taken = free(port);
        assert_eq!(taken.state, DoctorState::Warn);
        if cfg!(target_os = "linux") {
            assert!(taken.message.contains(&format!("(process {})", std::process::id())), "{taken:?}");
        }
        drop(listener);
        assert_eq!(free(port).state, DoctorState::Ok);
    }
}
