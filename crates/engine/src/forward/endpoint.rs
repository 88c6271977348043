//! Where to forward to, as the settings name it: checked once, and shown without what could be a secret.

use std::fmt;
use std::net::IpAddr;

use hyper::http::uri::PathAndQuery;
use hyper::http::{HeaderName, HeaderValue, Uri};

use crate::sources::otlp::Signal;

/// How requests are carried.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Protocol {
    /// Protobuf over HTTP.
    #[default]
    Http,
    /// gRPC.
    Grpc,
}

impl Protocol {
    /// Reads the word of the settings.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            "http" => Some(Self::Http),
            "grpc" => Some(Self::Grpc),
            _ => None,
        }
    }

    /// The word of the settings.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Grpc => "grpc",
        }
    }
}

/// A Collector's address: `http` or `https`, host, port, and for HTTP the path before `/v1/…`.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    is_tls: bool,
    /// Without the brackets of an IPv6 address.
    host: String,
    port: u16,
    /// Without a slash at its end.
    path: String,
}

impl Endpoint {
    /// Reads an address.
    ///
    /// # Errors
    /// A sentence's end that says what it must be.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let uri: Uri = text
            .trim()
            .parse()
            .map_err(|_| "must be an address as \"https://collector.example.org:4318\"")?;
        let is_tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err("must begin with http:// or https://"),
        };
        let authority = uri.authority().ok_or("must name a host")?;
        if authority.as_str().contains('@') {
            return Err("must not hold a name and a password; put them into headers");
        }
        if uri.query().is_some() {
            return Err("must not have a query; put keys into headers");
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let named = authority.as_str().rsplit_once(']').map_or(authority.as_str(), |(_, rest)| rest);
        let is_port_bad = named.contains(':') && authority.port_u16().is_none_or(|port| port == 0);
        if host.is_empty() || is_port_bad {
            return Err("must name a host, and a port from 1 to 65535 if any");
        }
        Ok(Self {
            is_tls,
            host: host.to_ascii_lowercase(),
            port: authority.port_u16().unwrap_or(if is_tls { 443 } else { 80 }),
            path: uri.path().trim_end_matches('/').to_owned(),
        })
    }

    /// The host, without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether it is encrypted.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.is_tls
    }

    /// Whether what is sent there leaves the machine readable by others on the way.
    #[must_use]
    pub fn is_open(&self) -> bool {
        let is_local =
            self.host == "localhost" || self.host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
        !self.is_tls && !is_local
    }

    /// Scheme, host and port.
    pub(super) fn origin(&self) -> String {
        let scheme = if self.is_tls { "https" } else { "http" };
        if self.host.contains(':') {
            format!("{scheme}://[{}]:{}", self.host, self.port)
        } else {
            format!("{scheme}://{}:{}", self.host, self.port)
        }
    }

    /// Where a signal is sent, over HTTP.
    pub(super) fn http(&self, signal: Signal) -> Result<Uri, hyper::http::Error> {
        let last = match signal {
            Signal::Logs => "logs",
            Signal::Traces => "traces",
            Signal::Metrics => "metrics",
        };
        Ok(format!("{}{}/v1/{last}", self.origin(), self.path).parse()?)
    }

    /// The method a signal is sent to, over gRPC.
    pub(super) fn grpc(signal: Signal) -> PathAndQuery {
        PathAndQuery::from_static(match signal {
            Signal::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
            Signal::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
            Signal::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
        })
    }
}

/// The path may hold a key, so it is not shown.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.origin())
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({self})")
    }
}

/// A header sent along; its value may be a secret and is never shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    pub(super) name: HeaderName,
    pub(super) value: HeaderValue,
}

impl Header {
    /// Checks a header.
    ///
    /// # Errors
    /// A sentence's end that says what is wrong with it; the value is not repeated.
    pub fn new(name: &str, value: &str) -> Result<Self, &'static str> {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| "is no name of a header")?;
        let reserved = ["host", "connection", "te", "transfer-encoding", "user-agent"];
        if reserved.contains(&name.as_str())
            || ["content-", "grpc-"].iter().any(|start| name.as_str().starts_with(start))
            || name.as_str().ends_with("-bin")
        {
            return Err("is a header that the protocol sets itself");
        }
        let value = if value.is_ascii() { HeaderValue::from_str(value).ok() } else { None };
        let mut value = value.ok_or("must be a text in ASCII on one line")?;
        value.set_sensitive(true);
        Ok(Self { name, value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_shown_without_their_path() {
        let endpoint = Endpoint::parse("https://Collector.example.org/ingest/secret-key/").unwrap();
        assert_eq!(endpoint.to_string(), "https://collector.example.org:443");
        assert!(!format!("{endpoint:?}").contains("secret"));
        assert_eq!(
            endpoint.http(Signal::Logs).unwrap().to_string(),
            "https://collector.example.org:443/ingest/secret-key/v1/logs"
        );
        let v6 = Endpoint::parse("http://[::1]:4318").unwrap();
        assert_eq!((v6.host(), v6.port(), v6.is_tls(), v6.is_open()), ("::1", 4318, false, false));
        assert_eq!(v6.http(Signal::Traces).unwrap().to_string(), "http://[::1]:4318/v1/traces");
        assert!(Endpoint::parse("http://collector:4318").unwrap().is_open());
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "collector:4318",
            "ftp://x",
            "http://",
            "https://user:pass@x",
            "http://x/?key=1",
            "http://x:0",
            "http://x:99999",
        ] {
            assert!(Endpoint::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn headers_are_checked_and_never_shown() {
        let header = Header::new("Authorization", "Bearer s3cret").unwrap();
        assert!(!format!("{header:?}").contains("s3cret"));
        for (name, value) in [
            ("a b", "x"),
            ("", "x"),
            ("Content-Type", "x"),
            ("grpc-timeout", "1S"),
            ("x-bin", "x"),
            ("x", "a\nb"),
            ("x", "ä"),
        ] {
            assert!(Header::new(name, value).is_err(), "{name}");
        }
    }
}
