//! What settings files of agents are made of, edited so that whatever is not ours keeps every byte.
//!
//! An edit is text in, text out. JSON is edited on a concrete syntax tree, TOML through `toml_edit`; both leave comments,
//! order and spacing of the rest alone, and both are held to it: an edit that changes nothing gives back the same text.

use jsonc_parser::ParseOptions;
use jsonc_parser::cst::{CstInputValue, CstObject, CstRootNode};
use serde::{Deserialize, Serialize};
use toml_edit::DocumentMut;

/// Begins a file of some editors on Windows.
const BOM: char = '\u{feff}';

/// What agents read: JSON, comments and trailing commas where they stand already.
const JSON: ParseOptions = ParseOptions {
    allow_comments: true,
    allow_loose_object_property_names: false,
    allow_trailing_commas: true,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

/// Why a text is left alone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// It is not UTF-8.
    #[error("it is not UTF-8 text")]
    NotText,
    /// It cannot be parsed.
    #[error("line {line}, column {column}: {message}")]
    Syntax {
        /// From 1.
        line: usize,
        /// In characters, from 1.
        column: usize,
        /// What the parser said.
        message: String,
    },
    /// Something in it is of another kind than the agent's settings are.
    #[error("{what}")]
    Shape {
        /// A clause: "hooks" is not an object.
        what: String,
    },
    /// It would not come back as it was.
    #[error(
        "its line ends are mixed, and an edit would change lines that are not ours; make them all alike first"
    )]
    Mixed,
}

/// Something that was added to a settings file: where, and as what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Keys from the outermost.
    pub path: Vec<String>,
    /// The text that was set; `None` for an object or list that was made to hold others.
    pub value: Option<String>,
}

impl Entry {
    pub(super) fn made(path: &[&str]) -> Self {
        Self { path: path.iter().map(|&key| key.to_owned()).collect(), value: None }
    }

    pub(super) fn set(path: &[&str], value: &str) -> Self {
        Self { value: Some(value.to_owned()), ..Self::made(path) }
    }
}

/// A JSON file whose root is an object.
pub(super) struct Json {
    has_bom: bool,
    /// The text, where nothing was in it.
    blank: Option<String>,
    root: CstRootNode,
    object: CstObject,
}

impl Json {
    /// Reads a text; an empty one is an empty object.
    pub(super) fn parse(text: &str) -> Result<Self, TextError> {
        let (has_bom, body) = without_bom(text);
        let root = CstRootNode::parse(body, &JSON).map_err(|error| TextError::Syntax {
            line: error.line_display(),
            column: error.column_display(),
            message: error.kind().to_string(),
        })?;
        let object = root
            .object_value_or_create()
            .ok_or_else(|| TextError::Shape { what: "its outermost value is not an object".to_owned() })?;
        let blank = body.trim().is_empty().then(|| text.to_owned());
        Ok(Self { has_bom, blank, root, object })
    }

    pub(super) fn object(&self) -> &CstObject {
        &self.object
    }

    /// Whether it holds nothing, not even a comment.
    pub(super) fn is_bare(&self) -> bool {
        self.object.properties().is_empty()
            && self.root.to_string().chars().all(|c| c.is_whitespace() || "{}".contains(c))
    }

    pub(super) fn into_text(self) -> String {
        if let Some(text) = self.blank.as_ref().filter(|_| self.is_bare()) {
            return text.clone();
        }
        let bom = if self.has_bom { BOM.to_string() } else { String::new() };
        format!("{bom}{}", self.root)
    }
}

/// The object under `key`; `None` when there is none.
///
/// # Errors
/// When something else is there, or the key stands twice: agents take the last, editors show the first.
pub(super) fn object_at(parent: &CstObject, key: &str) -> Result<Option<CstObject>, TextError> {
    once(parent, key)?;
    match parent.get(key) {
        None => Ok(None),
        Some(property) => property.object_value().map(Some).ok_or_else(|| shape(key, "an object")),
    }
}

/// The object under `key`, made if missing; says whether it was.
pub(super) fn object_or_make(parent: &CstObject, key: &str) -> Result<(CstObject, bool), TextError> {
    if let Some(object) = object_at(parent, key)? {
        return Ok((object, false));
    }
    let made = parent.append(key, CstInputValue::Object(Vec::new()));
    Ok((made.object_value().ok_or_else(|| shape(key, "an object"))?, true))
}

/// The text under `key`; `None` when nothing or something else is there.
pub(super) fn text_at(parent: &CstObject, key: &str) -> Option<String> {
    parent.get(key)?.value()?.as_string_lit()?.decoded_value().ok()
}

/// Fails when a key stands twice.
pub(super) fn once(parent: &CstObject, key: &str) -> Result<(), TextError> {
    let times = parent.properties().iter().filter(|p| p.decoded_name().as_deref() == Some(key)).count();
    if times > 1 {
        return Err(TextError::Shape { what: format!("\"{key}\" stands in it {times} times") });
    }
    Ok(())
}

pub(super) fn shape(key: &str, kind: &str) -> TextError {
    TextError::Shape { what: format!("\"{key}\" in it is not {kind}") }
}

/// A TOML file.
pub(super) struct Toml {
    has_bom: bool,
    has_crlf: bool,
    /// Its last line has no end.
    is_open: bool,
    pub document: DocumentMut,
}

impl Toml {
    /// Reads a text that an edit leaves alone.
    pub(super) fn parse(text: &str) -> Result<Self, TextError> {
        let (has_bom, body) = without_bom(text);
        let has_crlf = body.contains("\r\n");
        let plain = if has_crlf { body.replace("\r\n", "\n") } else { body.to_owned() };
        let document = plain.parse::<DocumentMut>().map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            let (line, column) = position(&plain, at);
            TextError::Syntax { line, column, message: error.message().trim_end().replace('\n', "; ") }
        })?;
        let is_open = !plain.is_empty() && !plain.ends_with('\n');
        let parsed = Self { has_bom, has_crlf, is_open, document };
        if parsed.text() == text { Ok(parsed) } else { Err(TextError::Mixed) }
    }

    pub(super) fn text(&self) -> String {
        let bom = if self.has_bom { BOM.to_string() } else { String::new() };
        let mut body = self.document.to_string();
        if self.is_open && body.ends_with('\n') {
            body.pop();
        }
        let body = if self.has_crlf { body.replace('\n', "\r\n") } else { body };
        format!("{bom}{body}")
    }
}

/// Reads bytes as text.
pub(super) fn text_of(bytes: &[u8]) -> Result<&str, TextError> {
    std::str::from_utf8(bytes).map_err(|_| TextError::NotText)
}

fn without_bom(text: &str) -> (bool, &str) {
    match text.strip_prefix(BOM) {
        Some(rest) => (true, rest),
        None => (false, text),
    }
}

/// Line and column of a byte, from 1.
fn position(text: &str, byte: usize) -> (usize, usize) {
    let before = text.get(..byte).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_is_not_edited_keeps_every_byte() {
        for text in [
            "{}",
            "{ }\n",
            "\u{feff}{\r\n  // why\r\n  \"a\": 1, /* x */\r\n\t\"b\": [1,2,],\r\n}\r\n",
            "{\n\t\"a\" : \"\\u00e9\",\n \"n\": 1e5, \"x\": null\n}\n\n\n",
            "// only a comment first\n{\"a\":{}}",
        ] {
            assert_eq!(Json::parse(text).unwrap().into_text(), text);
        }
        for text in
            ["", "a = 1", "# why\r\n\r\na = 1 # x\r\n[t]\r\nb = [\r\n 1, # one\r\n]\r\n", "\u{feff}a = 1\n"]
        {
            assert_eq!(Toml::parse(text).unwrap().text(), text);
        }
    }

    #[test]
    fn trouble_is_said_with_its_place() {
        let json = |text: &str| Json::parse(text).err().unwrap().to_string();
        // After the value, where the comma should be.
        assert_eq!(json("{\n  \"a\": 1\n  \"b\": 2\n}"), "line 2, column 9: Expected comma");
        assert!(json("[1]").contains("not an object"));
        for text in ["{'a': 1}", "{a: 1}", "{\"a\": 0x1}", "{\"a\": }", "{} {}", "{"] {
            assert!(json(text).starts_with("line 1, column "), "{text}");
        }
        let toml = |text: &str| Toml::parse(text).err().unwrap().to_string();
        assert!(toml("a = 1\nb = = 2\n").starts_with("line 2, column 5: "), "{}", toml("a = 1\nb = = 2\n"));
        assert!(toml("a = 1\r\nb = 2\n").contains("line ends are mixed"));
        let twice = Json::parse("{\"hooks\": {}, \"hooks\": {}}").unwrap();
        assert!(object_at(twice.object(), "hooks").unwrap_err().to_string().contains("2 times"));
    }
}
