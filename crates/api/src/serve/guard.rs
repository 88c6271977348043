//! Who may ask over HTTP.
//!
//! Any web page can make a browser send requests to a loopback port, and a name that an attacker controls can be made to
//! resolve to it (DNS rebinding). So every request must carry a loopback `Host` and, where a browser sends an `Origin`,
//! the listener's own; `/api` and `/metrics` need the bearer token besides. No CORS header is ever sent.

use axum::http::{HeaderMap, Uri, header};

use super::token::Token;
use crate::error::{ApiError, ErrorCode};

/// Checks `Host` and `Origin` of a request to the listener on `port`.
///
/// # Errors
/// `forbidden` unless there is exactly one `Host`, it is a loopback name, and every `Origin` is `http://` and that host
/// with the listener's own port.
pub fn check_caller(headers: &HeaderMap, uri: &Uri, port: u16) -> Result<(), ApiError> {
    let host = single_host(headers, uri)?;
    let Some(host_port) = loopback_port(host) else {
        return Err(forbidden("This host name is not this machine's. Use 127.0.0.1 or localhost."));
    };
    for origin in headers.get_all(header::ORIGIN) {
        let own = origin.to_str().ok().and_then(|text| text.strip_prefix("http://"));
        if host_port != port || !own.is_some_and(|own| own.eq_ignore_ascii_case(host)) {
            return Err(forbidden("Requests from other web pages are refused."));
        }
    }
    Ok(())
}

/// Checks the bearer token.
///
/// # Errors
/// `unauthorized` unless there is exactly one `Authorization` header and it carries the token.
pub fn check_token(headers: &HeaderMap, token: &Token) -> Result<(), ApiError> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let presented = match (values.next(), values.next()) {
        (Some(value), None) => bearer(value.as_bytes()),
        _ => None,
    };
    if presented.is_some_and(|presented| token.matches(presented)) {
        return Ok(());
    }
    Err(ApiError::new(
        ErrorCode::Unauthorized,
        "The token is missing or wrong. Send \"Authorization: Bearer\" with the content of the token file that lamp serve names.",
    ))
}

fn single_host<'a>(headers: &'a HeaderMap, uri: &'a Uri) -> Result<&'a str, ApiError> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().ok(),
        _ => None,
    };
    match (host, uri.authority()) {
        (Some(host), None) => Ok(host),
        // A request line with a whole address must name the same host as the header.
        (Some(host), Some(authority)) if host.eq_ignore_ascii_case(authority.as_str()) => Ok(host),
        _ => Err(forbidden("The request must name exactly one host.")),
    }
}

/// Returns the port of `127.0.0.1[:port]`, `localhost[:port]` or `[::1][:port]`, 80 when it has none; `None` for any
/// other host.
fn loopback_port(host: &str) -> Option<u16> {
    let rest = ["127.0.0.1", "localhost", "[::1]"].iter().find_map(|name| {
        let (start, rest) = host.split_at_checked(name.len())?;
        start.eq_ignore_ascii_case(name).then_some(rest)
    })?;
    if rest.is_empty() {
        return Some(80);
    }
    let digits = rest.strip_prefix(':')?;
    // `parse` alone would take a sign.
    digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())?
}

fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii())
}

fn forbidden(message: &str) -> ApiError {
    ApiError::new(ErrorCode::Forbidden, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(pairs: &[(&'static str, &str)], uri: &str) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        check_caller(&headers, &uri.parse().unwrap(), 4318).is_ok()
    }

    #[test]
    fn only_loopback_hosts_pass() {
        for host in [
            "127.0.0.1",
            "127.0.0.1:4318",
            "localhost",
            "LocalHost:4318",
            "[::1]",
            "[::1]:4318",
            "localhost:9",
        ] {
            assert!(caller(&[("host", host)], "/"), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "evil.example:4318",
            "127.0.0.1.evil.example",
            "localhost.evil.example:4318",
            "127.0.0.2",
            "127.0.0.1:",
            "127.0.0.1:43x8",
            "127.0.0.1:99999",
            "[::1",
            "[::1]x",
            "[::2]:4318",
            "::1",
            "0.0.0.0:4318",
            "localhost:4318:4318",
            "2130706433",
            "localhost@evil.example",
            "localhost:4318@evil.example",
            "user@localhost",
        ] {
            assert!(!caller(&[("host", host)], "/"), "{host}");
        }
        assert!(!caller(&[], "/"), "no host at all");
        assert!(!caller(&[("host", "localhost"), ("host", "evil.example")], "/"), "two hosts");
        assert!(
            !caller(&[("host", "localhost")], "http://evil.example/"),
            "another host in the request line"
        );
        assert!(caller(&[("host", "localhost:4318")], "http://localhost:4318/"));
    }

    #[test]
    fn only_the_listeners_own_origin_passes() {
        for (host, origin, passes) in [
            ("127.0.0.1:4318", "http://127.0.0.1:4318", true),
            ("localhost:4318", "http://localhost:4318", true),
            ("[::1]:4318", "http://[::1]:4318", true),
            ("127.0.0.1:4318", "http://localhost:4318", false),
            ("127.0.0.1:4318", "http://127.0.0.1:5173", false),
            ("127.0.0.1:5173", "http://127.0.0.1:5173", false),
            ("127.0.0.1:4318", "https://127.0.0.1:4318", false),
            ("127.0.0.1:4318", "http://evil.example", false),
            ("127.0.0.1:4318", "http://127.0.0.1:4318.evil.example", false),
            ("127.0.0.1:4318", "http://127.0.0.1:4318/", false),
            ("127.0.0.1:4318", "null", false),
            ("127.0.0.1:4318", "", false),
            ("127.0.0.1", "http://127.0.0.1", false),
        ] {
            assert_eq!(caller(&[("host", host), ("origin", origin)], "/"), passes, "{host} {origin}");
        }
        assert!(
            !caller(
                &[
                    ("host", "127.0.0.1:4318"),
                    ("origin", "http://127.0.0.1:4318"),
                    ("origin", "http://evil.example")
                ],
                "/"
            ),
            "two origins"
        );
    }

    #[test]
    fn only_one_whole_bearer_token_passes() {
        let hex = "0f".repeat(32);
        let token = Token::from_file_text(&hex).unwrap();
        let check = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::AUTHORIZATION, value.parse().unwrap());
            }
            check_token(&headers, &token).is_ok()
        };
        assert!(check(&[&format!("Bearer {hex}")]));
        assert!(check(&[&format!("bearer {hex}")]));
        for wrong in [
            "",
            "Bearer",
            "Bearer ",
            &hex,
            &format!("Basic {hex}"),
            &format!("Bearer {}", &hex[..63]),
            &format!("Bearer {hex}0"),
        ] {
            assert!(!check(&[wrong]), "{wrong}");
        }
        assert!(!check(&[]));
        let good = format!("Bearer {hex}");
        assert!(!check(&[&good, &good]), "two headers");
    }
}
