//! Asking a running engine through its control socket.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::{Request, Response, header};
use hyper_util::rt::TokioIo;
use lamplight_api::commands::{COMMANDS, Verb};
use lamplight_api::{ApiError, ErrorCode, socket};
use lamplight_model::view::StreamMessage;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Time an engine gets to answer what it answers from memory or its database.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// Why no answer came.
#[derive(Debug)]
pub(crate) enum AskError {
    /// Nobody listens: no engine runs on this data directory.
    NobodyThere,
    /// The engine refused.
    Refused(ApiError),
    /// Something went wrong on the way.
    Broken(anyhow::Error),
}

impl From<anyhow::Error> for AskError {
    fn from(error: anyhow::Error) -> Self {
        Self::Broken(error)
    }
}

/// A way to the engine of one data directory; connects anew for every question.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    data_dir: PathBuf,
}

impl Client {
    pub(crate) fn new(data_dir: &Path) -> Self {
        Self { data_dir: data_dir.to_owned() }
    }

    /// Runs a command of the table. `import`, `doctor` who reads the whole database, and `forget` who writes it anew may take
    /// as long as it takes.
    pub(crate) async fn ask<T: DeserializeOwned>(&self, command: &str, params: Value) -> Result<T, AskError> {
        let request = request(command, &params)?;
        let exchange = async {
            let response = self.send(request).await?;
            let status = response.status();
            let body = response.into_body().collect().await.context("the answer broke off")?.to_bytes();
            if status.is_success() {
                Ok(serde_json::from_slice(&body)
                    .with_context(|| format!("the answer to {command} cannot be read"))?)
            } else {
                Err(refusal(status, &body))
            }
        };
        if matches!(command, "import" | "doctor" | "forget") {
            return exchange.await;
        }
        match tokio::time::timeout(ANSWER_TIMEOUT, exchange).await {
            Ok(answer) => answer,
            Err(_) => Err(AskError::Broken(anyhow!(
                "the running Lamplight did not answer within {} s. Restart it if this goes on.",
                ANSWER_TIMEOUT.as_secs()
            ))),
        }
    }

    /// Opens the stream of changes.
    pub(crate) async fn stream(&self) -> Result<Stream, AskError> {
        let request = Request::get("/api/v1/stream")
            .header(header::HOST, "localhost")
            .body(Full::default())
            .context("cannot write the request")?;
        let response = self.send(request).await?;
        let status = response.status();
        if status.is_success() {
            return Ok(Stream { body: response.into_body(), events: Events::default() });
        }
        let body = response.into_body().collect().await.context("the answer broke off")?.to_bytes();
        Err(refusal(status, &body))
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, AskError> {
        let stream = match socket::connect(&self.data_dir) {
            Ok(stream) => stream,
            Err(error)
                if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) =>
            {
                return Err(AskError::NobodyThere);
            }
            Err(error) => {
                let path = socket::socket_path(&self.data_dir);
                return Err(AskError::Broken(
                    anyhow::Error::new(error)
                        .context(format!("cannot open the control socket {}", path.display())),
                ));
            }
        };
        stream.set_nonblocking(true).context("cannot use the control socket")?;
        let stream = tokio::net::UnixStream::from_std(stream).context("cannot use the control socket")?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.context("the running Lamplight hung up")?;
        // Ends with the sender and the body; an error of it is the sender's error too, which is told.
        tokio::spawn(connection);
        Ok(sender.send_request(request).await.context("the running Lamplight hung up")?)
    }
}

fn refusal(status: hyper::StatusCode, body: &[u8]) -> AskError {
    match serde_json::from_slice::<ApiError>(body) {
        Ok(error) => AskError::Refused(error),
        Err(_) => {
            AskError::Refused(ApiError::new(ErrorCode::Internal, format!("The engine answered {status}.")))
        }
    }
}

/// Makes the request of a command from its row in the table.
fn request(command: &str, params: &Value) -> Result<Request<Full<Bytes>>, AskError> {
    let row = COMMANDS.iter().find(|row| row.name == command).context("BUG: the command is in the table")?;
    let mut path = row.path.to_owned();
    let mut query = Vec::new();
    for (name, value) in params.as_object().into_iter().flatten() {
        let place = format!("{{{name}}}");
        match value {
            Value::String(text) if path.contains(&place) => {
                path = path.replace(&place, &percent_encoded(text));
            }
            Value::String(text) => query.push(format!("{name}={}", percent_encoded(text))),
            Value::Number(n) => query.push(format!("{name}={n}")),
            // Not given, or no part of an address.
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {}
        }
    }
    if row.verb == Verb::Get && !query.is_empty() {
        path = format!("{path}?{}", query.join("&"));
    }
    let request = Request::builder().uri(path).header(header::HOST, "localhost");
    let request = match row.verb {
        Verb::Get => request.method("GET").body(Full::default()),
        Verb::Post => request
            .method("POST")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::from(row.body_is.and_then(|part| params.get(part)).unwrap_or(params).to_string())),
    };
    Ok(request.context("cannot write the request")?)
}

/// Writes everything but the unreserved characters of RFC 3986 as `%XX`.
fn percent_encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            byte => format!("%{byte:02X}"),
        })
        .collect()
}

/// What an engine sends as long as somebody listens.
#[derive(Debug)]
pub(crate) struct Stream {
    body: Incoming,
    events: Events,
}

impl Stream {
    /// Waits for the next message; `None` when the engine stopped.
    pub(crate) async fn next(&mut self) -> anyhow::Result<Option<StreamMessage>> {
        loop {
            if let Some((name, data)) = self.events.take() {
                match name.as_str() {
                    "snapshot" => return Ok(Some(StreamMessage::Snapshot(serde_json::from_str(&data)?))),
                    "change" => return Ok(Some(StreamMessage::Change(serde_json::from_str(&data)?))),
                    // An event a later engine knows and we do not.
                    _ => continue,
                }
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Some(bytes) = frame.data_ref() {
                        self.events.feed(bytes);
                    }
                }
                // The engine was killed: the same to us as if it had ended the stream.
                Some(Err(_)) | None => return Ok(None),
            }
        }
    }
}

/// Server-sent events cut out of bytes: as much of the format as our own server writes.
#[derive(Debug, Default)]
struct Events {
    buffer: Vec<u8>,
    /// Bytes of the buffer known to hold no end of an event.
    searched: usize,
}

impl Events {
    fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Returns the next whole event that carries data, as name and data.
    fn take(&mut self) -> Option<(String, String)> {
        loop {
            let from = self.searched.saturating_sub(1);
            let Some(at) = self.buffer[from..].windows(2).position(|pair| pair == b"\n\n") else {
                self.searched = self.buffer.len();
                return None;
            };
            let event: Vec<u8> = self.buffer.drain(..from + at + 2).collect();
            self.searched = 0;
            let (mut name, mut data) = (String::new(), Vec::new());
            for line in String::from_utf8_lossy(&event).lines() {
                if let Some(text) = line.strip_prefix("event:") {
                    text.trim().clone_into(&mut name);
                } else if let Some(text) = line.strip_prefix("data:") {
                    data.push(text.strip_prefix(' ').unwrap_or(text).to_owned());
                }
            }
            if !data.is_empty() {
                return Some((name, data.join("\n")));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_cut_alike_wherever_the_bytes_are_split() {
        let text = "retry: 2000\n\nevent: snapshot\nid: e-1\ndata: {\"a\":1}\n\n: heartbeat\n\nevent: change\ndata: {}\n\nevent: cha";
        let whole = [("snapshot".to_owned(), "{\"a\":1}".to_owned()), ("change".to_owned(), "{}".to_owned())];
        for split in 0..text.len() {
            let mut events = Events::default();
            let mut seen = Vec::new();
            for part in [&text[..split], &text[split..]] {
                events.feed(part.as_bytes());
                seen.extend(std::iter::from_fn(|| events.take()));
            }
            assert_eq!(seen, whole, "split at {split}");
        }
    }

    #[test]
    fn a_body_that_is_one_parameter_is_that_one_alone() {
        let params = serde_json::json!({"causeId": "ab", "action": {"type": "dismiss"}});
        let request = request("set_cause", &params).unwrap();
        assert_eq!(request.uri().to_string(), "/api/v1/causes/ab");
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let body = runtime.block_on(request.into_body().collect()).unwrap().to_bytes();
        assert_eq!(body.as_ref(), br#"{"type":"dismiss"}"#);
    }

    #[test]
    fn ids_cannot_leave_their_place_in_the_address() {
        let request = request("resume", &serde_json::json!({"id": "codex:a/../b?x#y z"})).unwrap();
        assert_eq!(request.uri().to_string(), "/api/v1/sessions/codex%3Aa%2F..%2Fb%3Fx%23y%20z/resume");
    }
}
