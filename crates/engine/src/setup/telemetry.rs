//! Where telemetry goes, as agents' settings say it.

use lamplight_model::view::SetupTelemetry;

use super::places::Places;

/// Where the receiver listens for OTLP over HTTP (DESIGN §7); settings name this one, whatever port an engine that
/// found it taken listens on meanwhile.
pub(super) const HTTP: &str = "http://127.0.0.1:4318";
/// The same for gRPC.
pub(super) const GRPC: &str = "http://127.0.0.1:4317";

/// Whether an address is our receiver's, by any name of this machine, with or without a path.
pub(super) fn is_here(endpoint: &str) -> bool {
    let rest = endpoint.trim().strip_prefix("http://").unwrap_or(endpoint.trim());
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let Some((host, port)) = authority.rsplit_once(':') else { return false };
    matches!(host, "127.0.0.1" | "localhost" | "[::1]") && matches!(port, "4317" | "4318")
}

/// What settings say of telemetry: any address at all, and whether it was switched off by hand.
pub(super) fn judge<'a>(
    addresses: impl IntoIterator<Item = &'a str>,
    is_on: bool,
    is_refused: bool,
) -> Found<'a> {
    let mut addresses = addresses.into_iter().peekable();
    let is_named = addresses.peek().is_some();
    match addresses.find(|address| !is_here(address)) {
        Some(elsewhere) => Found::Elsewhere(elsewhere),
        None if is_refused => Found::Refused,
        None if is_named && is_on => Found::Here,
        None => Found::Off,
    }
}

/// What settings say of telemetry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found<'a> {
    /// Nothing.
    Off,
    /// It was switched off by hand.
    Refused,
    /// It comes here.
    Here,
    /// It goes to this address.
    Elsewhere(&'a str),
}

impl Found<'_> {
    pub(super) fn view(self) -> SetupTelemetry {
        match self {
            Self::Off | Self::Refused => SetupTelemetry::Off,
            Self::Here => SetupTelemetry::Here,
            Self::Elsewhere(_) => SetupTelemetry::Elsewhere,
        }
    }

    /// Why it is left as it is; `None` when it is not.
    pub(super) fn note(self, agent: &str) -> Option<String> {
        match self {
            Self::Off | Self::Here => None,
            Self::Refused => {
                Some(format!("{agent}'s telemetry was switched off by hand; that is left as it is."))
            }
            Self::Elsewhere(address) => Some(format!(
                "{agent}'s telemetry goes to {}, which is left as it is. To have both, take that out of {agent}'s settings, run `lamp setup` again, and name it in Lamplight's settings as `[forward] endpoint`: Lamplight passes on what it receives.",
                without_secrets(address)
            )),
        }
    }
}

/// An address without what may be a password in it.
fn without_secrets(address: &str) -> String {
    let (scheme, rest) = address.split_once("://").unwrap_or(("", address));
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let host_on = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    let shown: String = host_on.chars().filter(|c| !c.is_control()).take(200).collect();
    if scheme.is_empty() { shown } else { format!("{scheme}://{shown}") }
}

/// What exporters must send, as `OTEL_EXPORTER_OTLP_HEADERS` wants it: `key=value`, the value percent-encoded.
pub(super) fn headers(places: &Places) -> Option<String> {
    let token = places.otlp_token.as_deref().filter(|token| !token.is_empty())?;
    Some(format!("{HEADERS_START}{}", percent_encoded(token)))
}

/// How [`headers`] begins.
pub(super) const HEADERS_START: &str = "Authorization=Bearer%20";

/// Writes everything but the unreserved characters of RFC 3986 as `%XX`, as W3C Baggage and with it
/// `OTEL_RESOURCE_ATTRIBUTES` and `OTEL_EXPORTER_OTLP_HEADERS` take it.
#[must_use]
pub fn percent_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_ports_on_this_machine_are_here() {
        for here in [HTTP, GRPC, "http://localhost:4318/v1/logs", "http://[::1]:4318/", " 127.0.0.1:4317"] {
            assert!(is_here(here), "{here}");
        }
        for elsewhere in [
            "https://127.0.0.1:4318",
            "http://127.0.0.1:4319",
            "http://localhost",
            "http://127.0.0.1.example.com:4318",
            "http://example.com:4318/127.0.0.1:4318",
            "https://api.honeycomb.io",
            "",
        ] {
            assert!(!is_here(elsewhere), "{elsewhere}");
        }
    }

    #[test]
    fn an_address_is_shown_without_its_password() {
        let note =
            Found::Elsewhere("https://me:secret@otel.example.com/v1?key=secret").note("Codex").unwrap();
        assert!(note.contains("https://otel.example.com/v1,") && !note.contains("secret"), "{note}");
    }
}
