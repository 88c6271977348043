//! Laws of set-up over made-up settings: undo gives back every byte, twice is as once, and taking ours out of a file
//! that was edited since leaves what it says.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test says what went wrong by failing"
)]
#![cfg(unix)]

#[path = "../../../tests/cases.rs"]
mod cases;
mod setup_support;

use lamplight_model::view::{SetupChoices, SetupOutcome};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use setup_support::Home;

/// How a text is laid out.
#[derive(Debug, Clone, Copy)]
struct Style {
    indent: &'static str,
    newline: &'static str,
    has_bom: bool,
    ends_open: bool,
    has_comments: bool,
}

fn style() -> impl Strategy<Value = Style> {
    let indents = prop::sample::select(vec!["", "  ", "    ", "\t"]);
    let newlines = prop::sample::select(vec!["\n", "\r\n"]);
    (indents, newlines, any::<bool>(), any::<bool>(), any::<bool>()).prop_map(
        |(indent, newline, has_bom, ends_open, has_comments)| Style {
            indent,
            newline,
            has_bom,
            ends_open,
            has_comments,
        },
    )
}

fn text() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "",
        "a",
        "two words",
        "ünï 🪔",
        "\"quoted\"",
        "back\\slash",
        "// no comment",
        "#x",
        "$HOME",
    ])
    .prop_map(ToOwned::to_owned)
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i32>().prop_map(|n| json!(n)),
        text().prop_map(Value::String),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::btree_map("[a-z]{1,4}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Hooks of the person's own, also for events that we want.
fn hooks() -> impl Strategy<Value = Value> {
    let command = text().prop_map(|command| json!({"type": "command", "command": command}));
    let group =
        prop::collection::vec(command, 0..3).prop_map(|hooks| json!({"matcher": "Bash", "hooks": hooks}));
    let events =
        prop::sample::subsequence(vec!["Stop", "PreToolUse", "Notification", "SessionEnd", "Own"], 0..5);
    (events, prop::collection::vec(prop::collection::vec(group, 0..3), 5)).prop_map(|(events, groups)| {
        Value::Object(
            events.into_iter().map(ToOwned::to_owned).zip(groups.into_iter().map(Value::Array)).collect(),
        )
    })
}

fn settings() -> impl Strategy<Value = Value> {
    let env = prop::collection::btree_map("[A-Z]{1,6}", text(), 0..3);
    (
        prop::collection::btree_map("[a-z]{1,5}", value(), 0..4),
        prop::option::of(hooks()),
        prop::option::of(env),
    )
        .prop_map(|(rest, hooks, env)| {
            let mut all: Map<String, Value> =
                rest.into_iter().map(|(key, value)| (format!("x{key}"), value)).collect();
            if let Some(hooks) = hooks {
                all.insert("hooks".to_owned(), hooks);
            }
            if let Some(env) = env {
                all.insert("env".to_owned(), json!(env));
            }
            Value::Object(all)
        })
}

/// Writes a value as a person's editor might have.
fn written(value: &Value, style: Style) -> String {
    let mut out = String::new();
    if style.has_bom {
        out.push('\u{feff}');
    }
    if style.has_comments {
        out.push_str("// mine, \"hooks\": {}");
        out.push_str(style.newline);
    }
    write(value, style, 0, &mut out);
    if !style.ends_open {
        out.push_str(style.newline);
    }
    out
}

fn write(value: &Value, style: Style, depth: usize, out: &mut String) {
    let is_object = value.is_object();
    let items: Vec<(Option<&String>, &Value)> = match value {
        Value::Object(map) => map.iter().map(|(key, value)| (Some(key), value)).collect(),
        Value::Array(items) => items.iter().map(|value| (None, value)).collect(),
        other => return out.push_str(&other.to_string()),
    };
    let line = |out: &mut String, depth: usize| {
        if !style.indent.is_empty() {
            out.push_str(style.newline);
            out.push_str(&style.indent.repeat(depth));
        }
    };
    out.push(if is_object { '{' } else { '[' });
    let last = items.len().saturating_sub(1);
    for (at, (key, value)) in items.iter().enumerate() {
        if style.has_comments && !style.indent.is_empty() {
            line(out, depth + 1);
            out.push_str("// why");
        }
        line(out, depth + 1);
        if let Some(key) = key {
            out.push_str(&json!(key).to_string());
            out.push_str(": ");
        }
        write(value, style, depth + 1, out);
        if at != last {
            out.push(',');
        }
    }
    if !items.is_empty() {
        line(out, depth);
    }
    out.push(if is_object { '}' } else { ']' });
}

/// Reads it as an agent does, without the comments, which here have lines of their own.
fn read(text: &str) -> Value {
    let lines = text.trim_start_matches('\u{feff}').lines();
    let plain: String = lines.filter(|line| !line.trim_start().starts_with("//")).collect();
    serde_json::from_str(&plain).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn toml_text() -> impl Strategy<Value = String> {
    let line = prop::sample::select(vec![
        "model = \"x\"",
        "# a comment",
        "",
        "approval = 'y' # why",
        "list = [\n  1, # one\n  2,\n]",
        "multi = \"\"\"\nnotify = 1\n\"\"\"",
    ]);
    let table = prop::sample::select(vec![
        "[tui]\nanimations = false",
        "[otel]\nenvironment = \"dev\"",
        "  [projects.\"/home/dev\"]\n  trust_level = \"trusted\"",
        "[[more]]\na = 1\n\n[[more]]\na = 2",
    ]);
    let lines = prop::collection::hash_set(line, 0..5);
    let tables = prop::collection::hash_set(table, 0..4);
    (lines, tables, any::<bool>(), any::<bool>()).prop_map(|(lines, tables, has_crlf, ends_open)| {
        let mut text: String = lines.into_iter().chain(tables).map(|part| format!("{part}\n")).collect();
        if ends_open {
            text.pop();
        }
        if has_crlf { text.replace('\n', "\r\n") } else { text }
    })
}

proptest! {
    #![proptest_config(cases::config(48))]

    #[test]
    fn undo_gives_back_every_byte_and_twice_is_as_once(
        claude in settings(),
        gemini in settings(),
        codex_hooks in hooks(),
        codex in toml_text(),
        styles in (style(), style(), style()),
    ) {
        let home = Home::empty();
        home.write(".claude/settings.json", &written(&claude, styles.0));
        home.write(".gemini/settings.json", &written(&gemini, styles.1));
        home.write(".codex/hooks.json", &written(&json!({"hooks": codex_hooks}), styles.2));
        home.write(".codex/config.toml", &codex);
        let before = home.tree();
        home.apply(SetupChoices::default());
        prop_assert!(home.plan(SetupChoices::default()).is_empty(), "{:#?}", home.plan(SetupChoices::default()).view());
        for agent in home.state().agents {
            prop_assert_eq!(agent.hooks, agent.hooks_wanted, "{:?}", agent);
        }
        for (path, newline) in [(".claude/settings.json", styles.0.newline), (".gemini/settings.json", styles.1.newline)] {
            let text = home.read(path);
            // Nothing of a person's line ends is mixed up by our lines; a text without any takes ours.
            let lone = text.replace("\r\n", "").contains('\n');
            prop_assert!(newline == "\n" || !lone || !String::from_utf8_lossy(&before[path].0).contains('\n'), "{:?}", text);
        }
        home.undo();
        prop_assert_eq!(home.tree(), before);
    }

    #[test]
    fn what_is_ours_can_be_taken_out_of_what_was_edited_since(
        claude in settings(),
        gemini in settings(),
        codex in toml_text(),
        styles in (style(), style()),
    ) {
        let home = Home::empty();
        home.write(".claude/settings.json", &written(&claude, styles.0));
        home.write(".gemini/settings.json", &written(&gemini, styles.1));
        home.write(".codex/config.toml", &codex);
        home.apply(SetupChoices::default());
        for path in [".claude/settings.json", ".gemini/settings.json"] {
            let text = home.read(path);
            home.write(path, &format!("{text}\n// edited\n"));
        }
        let config = home.read(".codex/config.toml");
        home.write(".codex/config.toml", &format!("# edited\n{config}").replace("\r\n", "\n"));
        for file in home.undo().files {
            let expected = if file.path.ends_with("hooks.json") { SetupOutcome::Removed } else { SetupOutcome::TakenOut };
            prop_assert_eq!(file.outcome, expected, "{:?}", file);
        }
        prop_assert_eq!(read(&home.read(".claude/settings.json")), claude);
        prop_assert_eq!(read(&home.read(".gemini/settings.json")), gemini);
        let (left, was) = (home.read(".codex/config.toml"), codex.replace("\r\n", "\n"));
        let left: toml_edit::DocumentMut = left.parse().unwrap();
        let was: toml_edit::DocumentMut = was.parse().unwrap();
let (left, was) = (left.to_string().replace("# edited\n", ""), was.to_string());
        prop_assert_eq!(left.trim_end(), was.trim_end());
    }
}
