//! Cuts long texts out of a stream of JSON.

use std::io::{self, BufRead, Read};

/// Bytes of a text that are passed on; far above what is kept of any.
const KEPT_BYTES: usize = 64 * 1024;

/// Passes JSON on with every text cut after [`KEPT_BYTES`], so that a parser behind it never holds a long one. What it
/// passes on is JSON exactly if what it reads is, but for the part of a text that it cuts.
pub(crate) struct Shorten<R> {
    from: R,
    place: Place,
}

/// Where in the JSON the stream is.
struct Place {
    state: State,
    /// Bytes of the present text that were passed on.
    kept: usize,
    /// The last unit of the text was the first half of a surrogate pair: a cut here would leave it alone.
    is_half: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Between texts.
    Outside,
    /// In a text.
    Text,
    /// After a backslash.
    Escape,
    /// In the four digits after `\u`: how many are read, and the value so far.
    Digits(u8, u32),
    /// In the part of a text that is cut.
    Cut,
    /// After a backslash in that part.
    CutEscape,
}

impl<R: BufRead> Shorten<R> {
    /// Shortens what `from` gives; it must begin outside a text.
    pub(crate) fn new(from: R) -> Self {
        Self { from, place: Place { state: State::Outside, kept: 0, is_half: false } }
    }
}

impl Place {
    /// Takes one byte and says whether it is passed on.
    fn keeps(&mut self, byte: u8) -> bool {
        match self.state {
            State::Outside => {
                if byte == b'"' {
                    (self.state, self.kept, self.is_half) = (State::Text, 0, false);
                }
                return true;
            }
            State::Text if byte == b'"' => self.state = State::Outside,
            // A text is cut only between characters: not before a continuation byte.
            State::Text if self.kept >= KEPT_BYTES && !self.is_half && byte & 0xc0 != 0x80 => {
                self.state = if byte == b'\\' { State::CutEscape } else { State::Cut };
                return false;
            }
            State::Text if byte == b'\\' => self.state = State::Escape,
            State::Text => self.is_half = false,
            State::Escape if byte == b'u' => self.state = State::Digits(0, 0),
            State::Escape => (self.state, self.is_half) = (State::Text, false),
            State::Digits(read, value) => {
                let value = value << 4 | char::from(byte).to_digit(16).unwrap_or_default();
                self.state = if read == 3 {
                    self.is_half = (0xd800..0xdc00).contains(&value);
                    State::Text
                } else {
                    State::Digits(read + 1, value)
                };
            }
            State::Cut if byte == b'"' => {
                self.state = State::Outside;
                return true;
            }
            State::Cut if byte == b'\\' => {
                self.state = State::CutEscape;
                return false;
            }
            State::Cut => return false,
            State::CutEscape => {
                self.state = State::Cut;
                return false;
            }
        }
        self.kept += 1;
        true
    }
}

impl<R: BufRead> Read for Shorten<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            let held = self.from.fill_buf()?;
            if held.is_empty() {
                return Ok(0);
            }
            let (mut taken, mut given) = (0, 0);
            for byte in held {
                let Some(slot) = buffer.get_mut(given) else { break };
                taken += 1;
                if self.place.keeps(*byte) {
                    *slot = *byte;
                    given += 1;
                }
            }
            self.from.consume(taken);
            if given > 0 {
                return Ok(given);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shorten(json: &str) -> String {
        let mut text = String::new();
        Shorten::new(json.as_bytes()).read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn short_texts_pass_unchanged() {
        let json = r#"{"a":"b\"\\","c":[1,"\u00e9\ud83d\ude00",{"d":null}]} "#;
        assert_eq!(shorten(json), json);
    }

    #[test]
    fn a_long_text_is_cut_between_characters_whatever_it_is_made_of() {
        for unit in
            ["x", "é", "漢", "😀", "\\n", "\\\"", "\\u4e2d", "\\ud83d\\ude00", "\\\\", "x\\ud83d\\ude00é"]
        {
            for shift in ["", "a", "ab", "abc", "abcd", "abcde"] {
                let whole = format!(r#"{{"t":"{shift}{}","n":7}}"#, unit.repeat(2 * KEPT_BYTES / unit.len()));
                let short = shorten(&whole);
                assert!(short.len() < KEPT_BYTES + 64, "{unit:?} {shift:?}: {} bytes", short.len());
                let short: serde_json::Value = serde_json::from_str(&short).expect(unit);
                let whole: serde_json::Value = serde_json::from_str(&whole).expect(unit);
                assert_eq!(short["n"], 7, "{unit:?}");
                let (short, whole) = (short["t"].as_str().unwrap(), whole["t"].as_str().unwrap());
                assert!(whole.starts_with(short), "{unit:?}");
            }
        }
    }
}
