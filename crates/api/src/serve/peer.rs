//! Whose process is at the other end of a loopback connection.
//!
//! Every account of a machine reaches its loopback ports. Where a token is asked for, that says who may; the receiver of
//! telemetry asks for none unless one is configured, and takes what its own user's processes send, and root's, who may read
//! and write everything here anyway. The kernel is asked once per connection, for this one socket (`sock_diag(7)`), which
//! takes some microseconds however many sockets there are; reading `/proc/net/tcp` would look at all of them.

use std::net::SocketAddr;

/// Who is at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Peer {
    /// A process of the user that Lamplight runs as, or of root.
    Own,
    /// Somebody else's, or nobody's any more: who sends and hangs up at once would otherwise pass unseen.
    Other,
    /// This platform does not tell.
    Unknown,
}

/// Asks the system for the owners of connections.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peers {
    /// The kernel answers. Where it does not (another system, a sandbox without netlink), no peer is ever refused.
    is_told: bool,
}

#[cfg(not(target_os = "linux"))]
impl Peers {
    pub(super) fn new() -> Self {
        Self { is_told: false }
    }

    pub(super) fn of(self, _peer: SocketAddr, _own: SocketAddr) -> Peer {
        Peer::Unknown
    }
}

#[cfg(target_os = "linux")]
impl Peers {
    /// Tries it on a connection to ourselves: that a socket is not found later then means that it is gone.
    pub(super) fn new() -> Self {
        let to_ourselves = || -> std::io::Result<Option<Owner>> {
            let listener = std::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0))?;
            let stream = std::net::TcpStream::connect(listener.local_addr()?)?;
            diag::owner(stream.local_addr()?, stream.peer_addr()?)
        };
        let is_told = matches!(to_ourselves(), Ok(Some(owner)) if owner.is_there);
        if !is_told {
            tracing::info!("the system does not tell whose process a connection is from");
        }
        Self { is_told }
    }

    /// Returns who is at the other end of a connection between these addresses.
    pub(super) fn of(self, peer: SocketAddr, own: SocketAddr) -> Peer {
        if !self.is_told {
            return Peer::Unknown;
        }
        match diag::owner(peer, own) {
            Ok(owner) => judge(owner, rustix::process::geteuid().as_raw()),
            // No descriptor or no memory for the question: the answer would be the same a moment later.
            Err(error) => {
                tracing::warn!(%error, "cannot ask whose process a connection is from");
                Peer::Other
            }
        }
    }
}

/// Owner of a socket, as the kernel tells it.
#[cfg(target_os = "linux")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Owner {
    uid: u32,
    /// A process holds it; one that nobody holds any more is told with uid 0.
    is_there: bool,
}

#[cfg(target_os = "linux")]
fn judge(owner: Option<Owner>, us: u32) -> Peer {
    match owner {
        Some(Owner { uid, is_there: true }) if uid == us || uid == 0 => Peer::Own,
        _ => Peer::Other,
    }
}

#[cfg(target_os = "linux")]
mod diag {
    //! One question of `sock_diag(7)` and its answer; numbers as in `linux/{netlink,sock_diag,inet_diag}.h`.

    use std::io;
    use std::net::{IpAddr, SocketAddr};

    use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink};

    use super::Owner;

    const SOCK_DIAG_BY_FAMILY: u16 = 20;
    const NLM_F_REQUEST: u16 = 1;
    const NLMSG_ERROR: u16 = 2;
    const IPPROTO_TCP: u8 = 6;
    const ENOENT: i32 = -2;
    const NLMSGHDR: usize = 16;
    const INET_DIAG_SOCKID: usize = 48;
    /// Family, state, timer and retransmissions stand before the id, expiry and two queues after it.
    const UID_AT: usize = NLMSGHDR + 4 + INET_DIAG_SOCKID + 12;

    /// The owner of the socket at `of` that is connected to `to`; `None` when there is no such socket.
    pub(super) fn owner(of: SocketAddr, to: SocketAddr) -> io::Result<Option<Owner>> {
        let family = match of.ip() {
            IpAddr::V4(_) => AddressFamily::INET,
            IpAddr::V6(_) => AddressFamily::INET6,
        };
        let socket = rustix::net::socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
            Some(netlink::SOCK_DIAG),
        )?;
        rustix::net::send(&socket, &question(family, of, to), SendFlags::empty())?;
        // The kernel answers within the call that asks: it is there already.
        let mut answer = [0; 512];
        let (_, length) = rustix::net::recv(&socket, &mut answer[..], RecvFlags::empty())?;
        read(answer.get(..length).unwrap_or_default())
    }

    fn question(family: AddressFamily, of: SocketAddr, to: SocketAddr) -> Vec<u8> {
        let mut id = Vec::with_capacity(INET_DIAG_SOCKID);
        id.extend_from_slice(&of.port().to_be_bytes());
        id.extend_from_slice(&to.port().to_be_bytes());
        id.extend_from_slice(&address(of.ip()));
        id.extend_from_slice(&address(to.ip()));
        // Any interface, and any cookie.
        id.extend_from_slice(&[0; 4]);
        id.extend_from_slice(&[0xff; 8]);
        let mut request = vec![u8::try_from(family.as_raw()).unwrap_or_default(), IPPROTO_TCP, 0, 0];
        // Sockets in any state.
        request.extend_from_slice(&u32::MAX.to_ne_bytes());
        request.extend_from_slice(&id);
        let length = u32::try_from(NLMSGHDR + request.len()).unwrap_or_default();
        let mut message = Vec::with_capacity(NLMSGHDR + request.len());
        message.extend_from_slice(&length.to_ne_bytes());
        message.extend_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
        message.extend_from_slice(&NLM_F_REQUEST.to_ne_bytes());
        // Sequence number and sender: one question, one answer.
        message.extend_from_slice(&[0; 8]);
        message.extend_from_slice(&request);
        message
    }

    fn address(ip: IpAddr) -> [u8; 16] {
        match ip {
            IpAddr::V6(ip) => ip.octets(),
            IpAddr::V4(ip) => {
                let mut padded = [0; 16];
                for (to, from) in padded.iter_mut().zip(ip.octets()) {
                    *to = from;
                }
                padded
            }
        }
    }

    fn read(answer: &[u8]) -> io::Result<Option<Owner>> {
        let short = || io::Error::new(io::ErrorKind::InvalidData, "a short answer");
        let kind = u16::from_ne_bytes(*answer.get(4..).and_then(<[u8]>::first_chunk).ok_or_else(short)?);
        let number = |at: usize| {
            answer.get(at..).and_then(<[u8]>::first_chunk).copied().map(u32::from_ne_bytes).ok_or_else(short)
        };
        match kind {
            SOCK_DIAG_BY_FAMILY => {
                let (uid, inode) = (number(UID_AT)?, number(UID_AT + 4)?);
                Ok(Some(Owner { uid, is_there: inode != 0 }))
            }
            NLMSG_ERROR => match number(NLMSGHDR)?.cast_signed() {
                ENOENT => Ok(None),
                code => Err(io::Error::from_raw_os_error(code.saturating_neg())),
            },
            _ => Err(io::Error::new(io::ErrorKind::InvalidData, "an answer of another kind")),
        }
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    /// Whoever connects, as the listener's side sees it after `meanwhile`.
    fn seen(listen_on: &str, meanwhile: impl FnOnce(TcpStream) -> Option<TcpStream>) -> Peer {
        let listener = TcpListener::bind(listen_on).unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (accepted, peer) = listener.accept().unwrap();
        let _client = meanwhile(client);
        Peers::new().of(peer, accepted.local_addr().unwrap())
    }

    #[test]
    fn our_own_connections_are_ours_over_both_protocols() {
        assert_eq!(seen("127.0.0.1:0", Some), Peer::Own);
        assert_eq!(seen("[::1]:0", Some), Peer::Own);
        // Half closed, as a client that has said all it has to say.
        let half = |client: TcpStream| {
            client.shutdown(std::net::Shutdown::Write).unwrap();
            Some(client)
        };
        assert_eq!(seen("127.0.0.1:0", half), Peer::Own);
    }

    #[test]
    fn who_has_hung_up_is_nobody() {
        assert_eq!(seen("127.0.0.1:0", |_| None), Peer::Other);
    }

    #[test]
    fn only_our_user_and_root_are_our_own() {
        let owner = |uid, is_there| Some(Owner { uid, is_there });
        for (owner, peer) in [
            (owner(1000, true), Peer::Own),
            (owner(0, true), Peer::Own),
            (owner(1001, true), Peer::Other),
            (owner(65_534, true), Peer::Other),
            (owner(0, false), Peer::Other),
            (owner(1000, false), Peer::Other),
            (None, Peer::Other),
        ] {
            assert_eq!(judge(owner, 1000), peer, "{owner:?}");
        }
        assert_eq!(
            Peers { is_told: false }.of("127.0.0.1:1".parse().unwrap(), "127.0.0.1:2".parse().unwrap()),
            Peer::Unknown
        );
    }
}
