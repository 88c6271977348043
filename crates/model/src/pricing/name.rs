//! Names of models as agents write them, and the table rows they may be looked up under.

/// Suffix with which Claude Code asks for a window of one million tokens: `claude-sonnet-4-5-20250929[1m]`.
const LONG_WINDOW: &str = "[1m]";

/// Whether the name asks for the window of one million tokens.
pub(super) fn has_long_window(model: &str) -> bool {
    model.ends_with(LONG_WINDOW)
}

/// Returns the names a model may stand under in a table, most exact first: as written, without its date, without
/// `[1m]`, without both.
///
/// Nothing else is cut off, so that a model never takes the row of another one: `gpt-5.5` is not a kind of `gpt-5`, nor
/// `claude-opus-4-5` of `claude-opus-4`. Names of other shops (`us.anthropic.…`, `…@20251101`, `openai/…`) stay as they
/// are and find no row: the same model has another price there.
pub(super) fn forms(model: &str) -> [String; 4] {
    let (base, long) = match model.strip_suffix(LONG_WINDOW) {
        Some(base) => (base, LONG_WINDOW),
        None => (model, ""),
    };
    let undated = without_date(base);
    [format!("{base}{long}"), format!("{undated}{long}"), base.to_owned(), undated.to_owned()]
}

/// Cuts a trailing release date: `-20251101` (Anthropic) or `-2025-08-07` (OpenAI).
fn without_date(model: &str) -> &str {
    [true, false].into_iter().find_map(|dashes| cut_date(model, dashes)).unwrap_or(model)
}

fn cut_date(model: &str, dashes: bool) -> Option<&str> {
    let length = if dashes { "-YYYY-MM-DD".len() } else { "-YYYYMMDD".len() };
    let (rest, date) = model.split_at_checked(model.len().checked_sub(length)?)?;
    let format = if dashes { "-%Y-%m-%d" } else { "-%Y%m%d" };
    let is_date = date.bytes().all(|b| b.is_ascii_digit() || b == b'-')
        && chrono::NaiveDate::parse_from_str(date, format).is_ok_and(|d| (2020..2100).contains(&year(d)));
    (is_date && !rest.is_empty()).then_some(rest)
}

fn year(date: chrono::NaiveDate) -> i32 {
    chrono::Datelike::year(&date)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_release_date_and_1m_are_cut() {
        for (model, undated) in [
            ("claude-opus-4-5-20251101", "claude-opus-4-5"),
            ("claude-opus-4-20250514", "claude-opus-4"),
            ("claude-sonnet-4-5-20250929[1m]", "claude-sonnet-4-5"),
            ("claude-opus-5-5[1m]", "claude-opus-5-5"),
            ("gpt-5-2025-08-07", "gpt-5"),
            ("gpt-5.4-mini-2026-03-17", "gpt-5.4-mini"),
            ("gpt-5.5", "gpt-5.5"),
            ("claude-opus-4-5", "claude-opus-4-5"),
            ("claude-opus-4-20251399", "claude-opus-4-20251399"),
            ("claude-opus-4-00010101", "claude-opus-4-00010101"),
            ("gpt-4-0613", "gpt-4-0613"),
            ("gpt-5-2025-8-7", "gpt-5-2025-8-7"),
            ("-20251101", "-20251101"),
            ("20251101", "20251101"),
            ("claude-opus-4-5[2m]", "claude-opus-4-5[2m]"),
            ("[1m]", ""),
            ("", ""),
            ("modèle-20251101é", "modèle-20251101é"),
        ] {
            let [_, _, _, last] = forms(model);
            assert_eq!(last, undated, "{model}");
        }
    }

    #[test]
    fn the_most_exact_name_comes_first() {
        assert_eq!(
            forms("claude-sonnet-4-5-20250929[1m]"),
            [
                "claude-sonnet-4-5-20250929[1m]",
                "claude-sonnet-4-5[1m]",
                "claude-sonnet-4-5-20250929",
                "claude-sonnet-4-5"
            ]
        );
    }
}
