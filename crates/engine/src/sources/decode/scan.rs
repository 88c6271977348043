//! Looks one value up in a line of JSON without reading the rest.
//!
//! Most bytes of a transcript belong to records without a fact, or stand in a record before its `type`. Passing over a
//! value here costs a search for the ends of its strings and nothing else; a record that turns out to hold a fact is
//! then read by the JSON parser, which is also what says whether it is JSON at all.

use memchr::memchr2;

/// Returns the text of the string at `path`, as it is written between its quotes; `None` when there is none, or when
/// it is written with escapes.
pub(super) fn string_at<'a>(json: &'a str, path: &[&str]) -> Option<&'a str> {
    let mut at = 0;
    for key in path {
        at = member(json.as_bytes(), at, key.as_bytes())?;
    }
    let bytes = json.as_bytes();
    if bytes.get(at) != Some(&b'"') {
        return None;
    }
    let end = string_end(bytes, at + 1)?;
    let text = json.get(at + 1..end)?;
    (!text.as_bytes().contains(&b'\\')).then_some(text)
}

/// Returns what is left of the line from the value at `path` on.
pub(super) fn from_value<'a>(json: &'a str, path: &[&str]) -> Option<&'a str> {
    let mut at = 0;
    for key in path {
        at = member(json.as_bytes(), at, key.as_bytes())?;
    }
    json.get(at..)
}

/// Returns where the value of the member `wanted` of the object at `at` begins.
fn member(json: &[u8], at: usize, wanted: &[u8]) -> Option<usize> {
    let mut at = blanks(json, at);
    if json.get(at) != Some(&b'{') {
        return None;
    }
    at = blanks(json, at + 1);
    loop {
        if json.get(at) != Some(&b'"') {
            return None;
        }
        let end = string_end(json, at + 1)?;
        let found = json.get(at + 1..end)? == wanted;
        at = blanks(json, end + 1);
        if json.get(at) != Some(&b':') {
            return None;
        }
        at = blanks(json, at + 1);
        if found {
            return Some(at);
        }
        at = blanks(json, value_end(json, at)?);
        if json.get(at) != Some(&b',') {
            return None;
        }
        at = blanks(json, at + 1);
    }
}

fn blanks(json: &[u8], mut at: usize) -> usize {
    while matches!(json.get(at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
        at += 1;
    }
    at
}

/// Returns where the closing quote of a string stands whose first character is at `at`.
fn string_end(json: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at += memchr2(b'"', b'\\', json.get(at..)?)?;
        if json.get(at) == Some(&b'"') {
            return Some(at);
        }
        at += 2;
    }
}

/// Returns the first byte after the value at `at`.
fn value_end(json: &[u8], mut at: usize) -> Option<usize> {
    let mut depth = 0usize;
    loop {
        match json.get(at)? {
            b'"' => {
                at = string_end(json, at + 1)? + 1;
                if depth == 0 {
                    return Some(at);
                }
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth == 0 => return Some(at),
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            b',' if depth == 0 => return Some(at),
            _ => {}
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_of_the_top_level_is_found_whatever_stands_before_it() {
        for (json, found) in [
            (r#"{"type":"user"}"#, Some("user")),
            (r#" { "type" : "user" } "#, Some("user")),
            (r#"{"message":{"type":"message","x":[{"type":"text"}]},"type":"assistant"}"#, Some("assistant")),
            (r#"{"text":"\"type\":\"user\"","type":"system"}"#, Some("system")),
            (r#"{"text":"ends in \\","n":-1.5e3,"b":true,"type":"system"}"#, Some("system")),
            (r#"{"n":null,"l":[],"o":{},"type":"x"}"#, Some("x")),
            (r#"{"message":{"type":"user"}}"#, None),
            (r#"{"type":7}"#, None),
            (r#"{"type":"us\u0065r"}"#, None),
            (r#"{"type":"user"#, None),
            (r#"{"a":"b""#, None),
            (r#"["type","user"]"#, None),
            ("", None),
            ("{", None),
            ("\"type\"", None),
        ] {
            assert_eq!(string_at(json, &["type"]), found, "{json}");
        }
    }

    #[test]
    fn a_path_leads_into_objects() {
        let json = r#"{"attachment":{"kind":{"type":"no"},"type":"date"},"type":"attachment"}"#;
        assert_eq!(string_at(json, &["attachment", "type"]), Some("date"));
        assert_eq!(string_at(json, &["attachment", "kind", "type"]), Some("no"));
        assert_eq!(string_at(json, &["type", "attachment"]), None);
    }
}
