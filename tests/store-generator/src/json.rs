//! JSON lines written straight into a buffer, keys in the order given.
//!
//! Key order is part of a shape: Claude Code writes `type` after a `message` of any length, and a reader that
//! stops early must cope. A map type would sort or hash that away.

use std::io::Write as _;

/// A file of JSON lines under construction.
#[derive(Debug, Default, Clone)]
pub struct Lines {
    bytes: Vec<u8>,
}

impl Lines {
    /// Everything written.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Number of bytes written.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// True while nothing is written.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Starts a record.
    pub fn begin(&mut self) {
        self.bytes.push(b'{');
    }

    /// Ends a record and its line.
    pub fn end(&mut self) {
        self.bytes.extend_from_slice(b"}\n");
    }

    /// Appends a whole line made elsewhere.
    pub fn line(&mut self, line: &[u8]) {
        self.bytes.extend_from_slice(line);
        self.bytes.push(b'\n');
    }

    fn comma(&mut self) {
        if !matches!(self.bytes.last(), Some(b'{' | b'[' | b':')) {
            self.bytes.push(b',');
        }
    }

    fn key(&mut self, key: &str) {
        self.comma();
        self.bytes.push(b'"');
        self.bytes.extend_from_slice(key.as_bytes());
        self.bytes.extend_from_slice(b"\":");
    }

    fn quoted(&mut self, escaped: &str) {
        self.bytes.push(b'"');
        self.bytes.extend_from_slice(escaped.as_bytes());
        self.bytes.push(b'"');
    }

    /// A string that needs no escaping: an id, a name, or text from the pool.
    pub fn text(&mut self, key: &str, escaped: &str) {
        self.key(key);
        self.quoted(escaped);
    }

    /// A string of any content.
    pub fn string(&mut self, key: &str, value: &str) {
        let escaped = escape(value);
        self.text(key, &escaped);
    }

    /// A string, or null.
    pub fn text_or_null(&mut self, key: &str, escaped: Option<&str>) {
        match escaped {
            Some(escaped) => self.text(key, escaped),
            None => self.raw(key, "null"),
        }
    }

    /// A number.
    pub fn int(&mut self, key: &str, value: u64) {
        self.key(key);
        // Writing to a Vec cannot fail.
        let _ = write!(self.bytes, "{value}");
    }

    /// A boolean.
    pub fn flag(&mut self, key: &str, value: bool) {
        self.raw(key, if value { "true" } else { "false" });
    }

    /// Any value already in JSON.
    pub fn raw(&mut self, key: &str, json: &str) {
        self.key(key);
        self.bytes.extend_from_slice(json.as_bytes());
    }

    /// Opens an object under a key.
    pub fn open(&mut self, key: &str) {
        self.key(key);
        self.bytes.push(b'{');
    }

    /// Closes the innermost object.
    pub fn close(&mut self) {
        self.bytes.push(b'}');
    }

    /// Opens a list under a key.
    pub fn open_list(&mut self, key: &str) {
        self.key(key);
        self.bytes.push(b'[');
    }

    /// Closes the innermost list.
    pub fn close_list(&mut self) {
        self.bytes.push(b']');
    }

    /// Opens an object inside a list.
    pub fn open_item(&mut self) {
        self.comma();
        self.bytes.push(b'{');
    }

    /// A string inside a list.
    pub fn item(&mut self, escaped: &str) {
        self.comma();
        self.quoted(escaped);
    }
}

/// The inside of a JSON string.
pub fn escape(value: &str) -> String {
    let mut out = String::with_capacity(value.len() + 8);
    for c in value.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if u32::from(c) < 0x20 => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}

/// The same lines with a space after each `:` and `,` that stands outside a string.
pub fn spaced(compact: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(compact.len() + compact.len() / 8);
    let (mut in_string, mut escaped) = (false, false);
    for &byte in compact {
        out.push(byte);
        if in_string {
            if escaped {
                escaped = false;
            } else if byte == b'\\' {
                escaped = true;
            } else if byte == b'"' {
                in_string = false;
            }
        } else if byte == b'"' {
            in_string = true;
        } else if byte == b':' || byte == b',' {
            out.push(b' ');
        }
    }
    out
}
