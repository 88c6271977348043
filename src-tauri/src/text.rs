//! Text of agents on its way to a tray or a notification server: both draw what they are given.

use lamplight_model::label::is_unsafe;

/// Returns the text without control and direction-changing characters, on one line, cut to `max` characters.
pub fn one_line(text: &str, max: usize) -> String {
    cut(
        text.split_whitespace().map(visible).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" "),
        max,
    )
}

/// Returns the text without control and direction-changing characters; line breaks stay.
pub fn lines(text: &str, max: usize) -> String {
    cut(text.lines().map(visible).collect::<Vec<_>>().join("\n"), max)
}

/// Escapes what a server that reads markup would take for markup.
pub fn escape_markup(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Doubles underscores, which a menu reads as "the next letter is the access key".
pub fn escape_access_key(text: &str) -> String {
    text.replace('_', "__")
}

fn visible(text: &str) -> String {
    text.chars().filter(|c| !is_unsafe(*c)).collect()
}

fn cut(text: String, max: usize) -> String {
    match text.char_indices().nth(max) {
        Some((at, _)) => format!("{}…", text[..at].trim_end()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_agents_write_cannot_reorder_or_break_a_line() {
        for (given, expected) in [
            ("npm test", "npm test"),
            ("a\u{202e}txt.exe", "atxt.exe"),
            ("\u{1b}[31mred\u{7}", "[31mred"),
            ("two\nlines\tand a tab", "two lines and a tab"),
            ("  \u{200f} \u{feff} ", ""),
            ("日本語 e\u{301}", "日本語 e\u{301}"),
        ] {
            assert_eq!(one_line(given, 40), expected);
        }
    }

    #[test]
    fn a_long_text_is_cut_between_characters_and_says_so() {
        assert_eq!(one_line("日本語の長い名前", 3), "日本語…");
        assert_eq!(one_line("word word", 5), "word…");
        assert_eq!(one_line("exact", 5), "exact");
    }

    #[test]
    fn line_breaks_of_a_body_stay() {
        assert_eq!(lines("Needs permission\nrm -rf \u{202e}x", 100), "Needs permission\nrm -rf x");
    }

    #[test]
    fn markup_and_access_keys_are_shown_not_obeyed() {
        assert_eq!(escape_markup("<b>&amp;</b>"), "&lt;b&gt;&amp;amp;&lt;/b&gt;");
        assert_eq!(escape_access_key("snake_case"), "snake__case");
    }
}
