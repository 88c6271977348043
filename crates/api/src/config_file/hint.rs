//! "Did you mean": the known word nearest to a misspelt one.

/// Returns the word of `known` that is at most two edits, and at most a third of its length, away from `word`.
pub(super) fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let lowered = word.to_lowercase().replace('-', "_");
    known
        .iter()
        .map(|candidate| (distance(&lowered, candidate), *candidate))
        .filter(|(edits, candidate)| *edits <= 2.max(candidate.len() / 3))
        .min()
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance over characters, one row at a time.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, to) in row.iter_mut().skip(1).zip(&b) {
            let substituted = diagonal + usize::from(from != *to);
            diagonal = *cell;
            left = substituted.min(left + 1).min(diagonal + 1);
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_levenshtein() {
        for (a, b, edits) in
            [("", "", 0), ("", "abc", 3), ("kitten", "sitting", 3), ("flaw", "lawn", 2), ("same", "same", 0)]
        {
            assert_eq!(distance(a, b), edits, "{a} {b}");
            assert_eq!(distance(b, a), edits, "{b} {a}");
        }
    }

    #[test]
    fn a_typo_finds_its_word_and_a_stranger_none() {
        let known = ["idle_minutes", "resume_max_hours"];
        assert_eq!(nearest("idle_minute", &known), Some("idle_minutes"));
        assert_eq!(nearest("Idle-Minutes", &known), Some("idle_minutes"));
        assert_eq!(nearest("resume_hours", &known), Some("resume_max_hours"));
        assert_eq!(nearest("colour", &known), None);
    }
}
