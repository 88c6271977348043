//! What a change looks like, line by line.

use lamplight_model::view::{SetupLine, SetupLineKind};
use similar::{ChangeTag, TextDiff};

/// Lines shown around a change.
const AROUND: usize = 2;
/// Words in the name of a setting whose value is nobody's business.
const SECRET: &[&str] =
    &["KEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD", "HEADERS", "AUTHORIZATION", "CREDENTIAL"];

/// The lines that come and go, with a few around them.
pub(super) fn lines(before: &str, after: &str) -> Vec<SetupLine> {
    let diff = TextDiff::from_lines(before, after);
    let mut out = Vec::new();
    let mut shown_to = 0;
    for group in diff.grouped_ops(AROUND) {
        let starts_at = group.first().map_or(0, |op| op.old_range().start);
        if starts_at > shown_to {
            out.push(SetupLine { kind: SetupLineKind::Gap, text: String::new() });
        }
        for op in &group {
            shown_to = op.old_range().end;
            for change in diff.iter_changes(op) {
                let kind = match change.tag() {
                    ChangeTag::Equal => SetupLineKind::Same,
                    ChangeTag::Insert => SetupLineKind::Added,
                    ChangeTag::Delete => SetupLineKind::Removed,
                };
                let text = change.value().trim_end_matches(['\n', '\r']);
                out.push(SetupLine { kind, text: without_secret(text) });
            }
        }
    }
    if !out.is_empty() && shown_to < diff.old_len() {
        out.push(SetupLine { kind: SetupLineKind::Gap, text: String::new() });
    }
    out
}

/// A line without the value of a setting that sounds secret.
fn without_secret(line: &str) -> String {
    let Some(at) = line.find(['=', ':']) else { return line.to_owned() };
    let (name, value) = line.split_at(at + 1);
    let upper = name.to_ascii_uppercase();
    // A table in one line: its names are behind the first sign.
    let names_one = |text: &str| SECRET.iter().any(|word| text.contains(word));
    if names_one(&upper) && !value.trim().is_empty() && !value.trim_start().starts_with(['{', '[']) {
        return format!("{name} …");
    }
    match value.to_ascii_uppercase().find("AUTHORIZATION") {
        Some(inner) => format!("{name}{}…", &value[..inner + "Authorization".len()]),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(before: &str, after: &str) -> String {
        lines(before, after)
            .iter()
            .map(|line| {
                let sign = match line.kind {
                    SetupLineKind::Same => ' ',
                    SetupLineKind::Added => '+',
                    SetupLineKind::Removed => '-',
                    SetupLineKind::Gap => '~',
                };
                format!("{sign}{}\n", line.text)
            })
            .collect()
    }

    #[test]
    fn what_changes_is_shown_with_its_neighbours() {
        let before = "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n";
        let after = before.replace("6\n", "six\n");
        assert_eq!(shown(before, &after), "~\n 4\n 5\n-6\n+six\n 7\n 8\n~\n");
        assert_eq!(shown("", "a\n"), "+a\n");
        assert_eq!(shown("a\r\n", "a\r\nb\r\n"), " a\n+b\n");
        assert_eq!(shown("a\n", "a\n"), "");
    }

    #[test]
    fn values_that_sound_secret_are_not_shown() {
        let before = "{\n  \"ANTHROPIC_API_KEY\": \"sk-1\",\n  \"x\": 1\n}\nexport GITHUB_TOKEN=abc\n";
        let text = shown(before, &before.replace("\"x\": 1", "\"x\": 2"));
        assert!(!text.contains("sk-1") && !text.contains("abc"), "{text}");
        assert!(text.contains("\"ANTHROPIC_API_KEY\": …"), "{text}");
        let ours = shown("", "exporter = { otlp-http = { headers = { Authorization = \"Bearer abc\" } } }\n");
        assert!(!ours.contains("abc"), "{ours}");
    }
}
