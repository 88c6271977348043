//! The instants that agents write into their files, found and moved as if the clock had shown others.

use std::ops::Range;

use lamplight_model::ids::Timestamp;

/// The same bytes with every instant of a range moved: times in RFC 3339 and in milliseconds since 1970.
pub(crate) fn moved(bytes: &[u8], range: Range<Timestamp>, by_ms: i64) -> Vec<u8> {
    let text = String::from_utf8_lossy(bytes);
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_ref();
    while let Some((before, found, after)) = next_instant(rest) {
        out.push_str(before);
        match instant(found).filter(|at| range.contains(at)) {
            Some(at) if found.starts_with('"') => {
                out.push_str(&format!("\"{}\"", written(at.plus_ms(by_ms))));
            }
            Some(at) => out.push_str(&at.plus_ms(by_ms).0.to_string()),
            None => out.push_str(found),
        }
        rest = after;
    }
    out.push_str(rest);
    out.into_bytes()
}

/// What comes before, a string or a number that may be an instant, and what comes after.
fn next_instant(text: &str) -> Option<(&str, &str, &str)> {
    let mut from = 0;
    loop {
        let at = from + text.get(from..)?.find(['"', ':', '[', ',', ' '])?;
        let begin = if text[at..].starts_with('"') { at } else { at + 1 };
        let value = text.get(begin..)?;
        let length = if value.starts_with("\"20") {
            value[1..].find('"').map(|end| end + 2)
        } else {
            let digits = value.bytes().take_while(u8::is_ascii_digit).count();
            let ends =
                value[digits..].chars().next().is_none_or(|c| matches!(c, ',' | ']' | '}' | ' ' | '\n'));
            (digits == 13 && ends).then_some(digits)
        };
        if let Some(length) = length {
            return Some((&text[..begin], &value[..length], &value[length..]));
        }
        from = at + 1;
    }
}

fn instant(found: &str) -> Option<Timestamp> {
    match found.strip_prefix('"') {
        Some(text) => Timestamp::from_rfc3339(text.strip_suffix('"')?),
        None => found.parse().ok().map(Timestamp),
    }
}

fn written(at: Timestamp) -> String {
    chrono::DateTime::from_timestamp_millis(at.0)
        .unwrap_or_default()
        .to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_of_the_range_are_moved_and_nothing_else_is() {
        let at = |text: &str| Timestamp::from_rfc3339(text).unwrap();
        let range = at("2026-11-20T12:00:00.000Z")..at("2026-11-20T13:00:00.000Z");
        let before = r#"{"a":"2026-11-20T12:00:01.500Z","b": "2026-11-20T11:59:59.999Z","c":1795176000000,"d":[1795176000001, 17951760000010],"e":"20 files at 1795176000000x","f":"2026"}"#;
        let after = r#"{"a":"2026-11-20T13:00:01.500Z","b": "2026-11-20T11:59:59.999Z","c":1795179600000,"d":[1795179600001, 17951760000010],"e":"20 files at 1795176000000x","f":"2026"}"#;
        let moved_by_an_hour = moved(before.as_bytes(), range.clone(), 3_600_000);
        assert_eq!(String::from_utf8(moved_by_an_hour).unwrap(), after);
        assert_eq!(moved(before.as_bytes(), range, 0), before.as_bytes());
    }
}
