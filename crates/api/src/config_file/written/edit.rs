//! One setting put into the text of the settings file, or taken out of it.
//!
//! What is there is changed in the form it has: a list keeps its lines, a section stays one. What goes leaves its comments
//! behind, where they stood. Lines end with a bare line feed here.

use std::ops::Range;

use lamplight_model::attention::CauseKind;
use serde_json::Value as Json;
use toml_edit::{Array, Document, DocumentMut, InlineTable, Item, Key, Table, TableLike, Value};

use super::super::raw::folder_agent;
use super::SettingsError;

/// Puts a value into a text that is TOML; `null` takes the setting out.
pub(super) fn put(text: &str, name: &str, value: &Json) -> Result<String, SettingsError> {
    if name == "roots" {
        return put_roots(text, value);
    }
    let (section, key) = name.split_once('.').ok_or_else(|| refused(format!("{name:?} is not a setting")))?;
    if value.is_null() {
        return take_out(text, section, key);
    }
    let mut document = mutable(text)?;
    if document.get(section).is_none() {
        document = mutable(&begun(text, &format!("[{section}]")))?;
    }
    let table = document.get_mut(section).and_then(Item::as_table_like_mut).ok_or_else(|| {
        refused(format!("{section} is no section in the settings file; correct that by hand first"))
    })?;
    set(table, key, value)?;
    Ok(document.to_string())
}

/// Comments of a text that is TOML, or of a part of one that begins and ends outside of texts.
pub(super) fn comments(toml: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = toml;
    while let Some((_, from)) = rest.find(['#', '"', '\'']).and_then(|at| rest.split_at_checked(at)) {
        rest = if from.starts_with('#') {
            let (comment, after) = from.split_once('\n').unwrap_or((from, ""));
            found.push(comment.trim_end());
            after
        } else {
            after_quoted(from)
        };
    }
    found
}

/// What follows the quoted text at the beginning.
fn after_quoted(toml: &str) -> &str {
    let marks = ["\"\"\"", "'''", "\"", "'"];
    let Some(mark) = marks.into_iter().find(|mark| toml.starts_with(mark)) else { return "" };
    let mut rest = toml.strip_prefix(mark).unwrap_or_default();
    loop {
        if let Some(after) = rest.strip_prefix(mark) {
            // A long text may end with quotes of its own.
            return if mark.len() == 3 { after.trim_start_matches(['"', '\'']) } else { after };
        }
        let mut chars = rest.chars();
        match chars.next() {
            Some('\\') if mark.starts_with('"') => drop(chars.next()),
            Some(_) => {}
            None => return "",
        }
        rest = chars.as_str();
    }
}

fn refused(what: String) -> SettingsError {
    SettingsError::Refused(what)
}

fn mutable(text: &str) -> Result<DocumentMut, SettingsError> {
    text.parse().map_err(|error: toml_edit::TomlError| refused(error.message().to_owned()))
}

/// The text with a header after everything in it, comments included.
fn begun(text: &str, header: &str) -> String {
    let gap = match text {
        "" => "",
        _ if text.ends_with("\n\n") => "",
        _ if text.ends_with('\n') => "\n",
        _ => "\n\n",
    };
    format!("{text}{gap}{header}\n")
}

fn set(table: &mut dyn TableLike, key: &str, value: &Json) -> Result<(), SettingsError> {
    let fresh = toml(value).ok_or_else(|| refused(format!("{key} has no such value")))?;
    let Some(item) = table.get_mut(key) else {
        table.insert(key, Item::Value(fresh));
        return Ok(());
    };
    match value {
        Json::Object(entries) if item.is_table_like() => {
            if let Some(table) = item.as_table_like_mut() {
                for (key, value) in entries {
                    set(table, key, value)?;
                }
            }
        }
        Json::Array(_) if item.is_array() => {
            if let (Some(list), Value::Array(wanted)) = (item.as_array_mut(), fresh) {
                // A reason that is not known here is said, and stays.
                let is_known =
                    |word: &Value| key != "muted" || word.as_str().and_then(CauseKind::from_word).is_some();
                change_list(list, wanted.into_iter().collect(), |a, b| a.as_str() == b.as_str(), is_known);
            }
        }
        _ => {
            let old = item.as_value_mut().ok_or_else(|| {
                refused(format!(
                    "{key} is written as a section in the settings file; correct that by hand first"
                ))
            })?;
            let decor = old.decor().clone();
            *old = fresh;
            *old.decor_mut() = decor;
        }
    }
    Ok(())
}

/// Makes a list hold what is wanted: what is in it already keeps its place, what is not known stays.
fn change_list(
    list: &mut Array,
    mut wanted: Vec<Value>,
    is_same: impl Fn(&Value, &Value) -> bool,
    is_known: impl Fn(&Value) -> bool,
) {
    let indent = list.iter().find_map(|value| indent_of(raw(value.decor().prefix())));
    let indent = indent.unwrap_or("  ").to_owned();
    let mut left: Vec<String> = Vec::new();
    let mut at = 0;
    while let Some(value) = list.get_mut(at) {
        let place = wanted.iter().position(|other| is_same(other, value));
        if let Some(place) = place {
            wanted.remove(place);
        }
        if place.is_some() || !is_known(value) {
            let prefix =
                with_lines(&std::mem::take(&mut left), raw(value.decor().prefix()), &indent, &indent);
            value.decor_mut().set_prefix(prefix);
            at += 1;
        } else {
            left.extend(comments(&list.remove(at).to_string()).into_iter().map(str::to_owned));
        }
    }
    let trailing = with_lines(&left, raw(Some(list.trailing())), &indent, "");
    list.set_trailing(trailing);
    for mut value in wanted {
        // What stands before the closing bracket stays before what comes.
        let last =
            list.len().checked_sub(1).filter(|_| !list.trailing_comma()).and_then(|at| list.get_mut(at));
        let before = match last {
            Some(last) => {
                let own = raw(last.decor().suffix()).to_owned();
                last.decor_mut().set_suffix("");
                own + raw(Some(list.trailing()))
            }
            None => raw(Some(list.trailing())).to_owned(),
        };
        if before.contains('\n') {
            value.decor_mut().set_prefix(format!("{}\n{indent}", before.trim_end()));
            list.push_formatted(value);
            list.set_trailing("\n");
        } else {
            list.push(value);
        }
    }
}

/// Comments as lines of their own, before what stands in front of a value or a bracket.
fn with_lines(comments: &[String], before: &str, indent: &str, last: &str) -> String {
    if comments.is_empty() {
        return before.to_owned();
    }
    let lines: String = comments.iter().map(|comment| format!("\n{indent}{comment}")).collect();
    match before.trim_start_matches([' ', '\t']) {
        rest if rest.starts_with('\n') => format!("{lines}{rest}"),
        "" => format!("{lines}\n{last}"),
        rest => format!("{lines}\n{indent}{rest}"),
    }
}

fn indent_of(prefix: &str) -> Option<&str> {
    prefix.rsplit_once('\n').map(|(_, indent)| indent)
}

fn raw(part: Option<&toml_edit::RawString>) -> &str {
    part.and_then(toml_edit::RawString::as_str).unwrap_or_default()
}

/// Takes a setting out; what was said about it stays.
fn take_out(text: &str, section: &str, key: &str) -> Result<String, SettingsError> {
    let document = immutable(text)?;
    let found =
        document.get(section).and_then(Item::as_table_like).and_then(|table| table.get_key_value(key));
    let Some((at, item)) = found else { return Ok(text.to_owned()) };
    if document.get(section).is_some_and(Item::is_inline_table) {
        let mut document = mutable(text)?;
        if let Some(table) = document.get_mut(section).and_then(Item::as_table_like_mut) {
            table.remove(key);
        }
        return Ok(document.to_string());
    }
    let places = places_of(text, at, item).ok_or_else(|| {
        refused(format!(
            "{key} is written with sections of its own in the settings file; take it out by hand"
        ))
    })?;
    Ok(cut(text, places))
}

/// Makes `[[roots]]` name these folders. Those there already keep their place, those not understood stay.
fn put_roots(text: &str, value: &Json) -> Result<String, SettingsError> {
    let mut wanted = wanted_roots(value)?;
    let mut document = mutable(text)?;
    match document.get_mut("roots") {
        None if wanted.is_empty() => return Ok(text.to_owned()),
        None => document = mutable(&begun(text, "[[roots]]"))?,
        Some(Item::ArrayOfTables(_)) => {}
        Some(Item::Value(Value::Array(list))) if list.iter().all(Value::is_inline_table) => {
            let name = |value: &Value| value.as_inline_table().and_then(|table| named(table));
            let wanted = wanted.iter().map(inline_root).collect();
            change_list(list, wanted, |a, b| name(a) == name(b), |value| name(value).is_some());
            return Ok(document.to_string());
        }
        Some(_) => {
            return Err(refused(
                "roots must be written as [[roots]], once per folder, in the settings file; correct that by hand first"
                    .to_owned(),
            ));
        }
    }
    let all = wanted.clone();
    if let Some(tables) = document.get_mut("roots").and_then(Item::as_array_of_tables_mut) {
        for table in tables.iter() {
            take(&mut wanted, named(table));
        }
        let mut wanted = wanted.into_iter();
        // The header that was just begun.
        if let Some(table) = tables.iter_mut().last().filter(|table| table.is_empty())
            && let Some(root) = wanted.next()
        {
            fill(table, &root);
        }
        for root in wanted {
            let mut table = Table::new();
            fill(&mut table, &root);
            tables.push(table);
        }
    }
    let text = document.to_string();
    let mut stay = all;
    let document = immutable(&text)?;
    let mut places = Vec::new();
    for table in document.get("roots").and_then(Item::as_array_of_tables).into_iter().flatten() {
        let root = named(table);
        if root.is_some() && !take(&mut stay, root) {
            places.push(place_of(&text, table).ok_or_else(|| {
                refused(
                    "a folder has sections of its own in the settings file; take it out by hand".to_owned(),
                )
            })?);
        }
    }
    Ok(cut(&text, places))
}

/// A folder to read: the agent's word and the path.
type Root = (String, String);

fn wanted_roots(value: &Json) -> Result<Vec<Root>, SettingsError> {
    let wrong = || refused("roots must be a list of folders, each with agent and path".to_owned());
    if value.is_null() {
        return Ok(Vec::new());
    }
    let text =
        |root: &Json, key: &str| root.get(key).and_then(Json::as_str).map(|text| text.trim().to_owned());
    let root = |root: &Json| Some((text(root, "agent")?, text(root, "path")?));
    value.as_array().ok_or_else(wrong)?.iter().map(|entry| root(entry).ok_or_else(wrong)).collect()
}

/// The folder an entry names, as the reader of the file understands it.
fn named(entry: &dyn TableLike) -> Option<Root> {
    let text =
        |key: &str| entry.get(key).and_then(Item::as_str).map(str::trim).filter(|text| !text.is_empty());
    let agent = folder_agent(text("agent")?)?;
    Some((agent.as_str().to_owned(), text("path")?.to_owned()))
}

/// Takes a folder out of a list, once; returns whether it was in there.
fn take(roots: &mut Vec<Root>, root: Option<Root>) -> bool {
    let at = root.and_then(|root| roots.iter().position(|other| *other == root));
    at.map(|at| roots.remove(at)).is_some()
}

fn fill(table: &mut Table, (agent, path): &Root) {
    table.insert("agent", toml_edit::value(agent));
    table.insert("path", toml_edit::value(path));
}

fn inline_root((agent, path): &Root) -> Value {
    let mut table = InlineTable::new();
    table.insert("agent", agent.into());
    table.insert("path", path.into());
    table.into()
}

fn immutable(text: &str) -> Result<Document<&str>, SettingsError> {
    Document::parse(text).map_err(|error| refused(error.message().to_owned()))
}

/// Where a setting stands, from the beginnings of its lines; `None` for what has sections of its own.
fn places_of(text: &str, key: &Key, item: &Item) -> Option<Vec<Range<usize>>> {
    match item {
        Item::Value(value) => {
            Some(std::iter::once(line_start(text, key.span()?.start)..value.span()?.end).collect())
        }
        Item::Table(table) if table.is_dotted() => inner_places(text, table),
        Item::Table(table) if !table.is_implicit() => Some(vec![place_of(text, table)?]),
        Item::Table(_) | Item::ArrayOfTables(_) | Item::None => None,
    }
}

/// Where a section stands, its header included.
fn place_of(text: &str, table: &Table) -> Option<Range<usize>> {
    let header = table.span()?;
    let end = inner_places(text, table)?.iter().map(|place| place.end).fold(header.end, usize::max);
    Some(line_start(text, header.start)..end)
}

fn inner_places(text: &str, table: &Table) -> Option<Vec<Range<usize>>> {
    let mut places = Vec::new();
    for (key, item) in table.iter() {
        if item.as_table().is_some_and(|table| !table.is_dotted()) {
            return None;
        }
        places.extend(places_of(text, table.key(key)?, item)?);
    }
    Some(places)
}

fn line_start(text: &str, at: usize) -> usize {
    text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |newline| newline + 1)
}

/// The text without what stands in these places; comments in and behind it stay, each on a line of its own.
fn cut(text: &str, mut places: Vec<Range<usize>>) -> String {
    places.sort_by_key(|place| std::cmp::Reverse(place.start));
    places.into_iter().fold(text.to_owned(), |text, place| {
        let part = |range: Option<&str>| range.unwrap_or_default().to_owned();
        let mut before = part(text.get(..place.start));
        let behind = part(text.get(place.end..));
        let (line, after) = behind.split_once('\n').unwrap_or((&behind, ""));
        let gone = part(text.get(place)) + line;
        for comment in comments(&gone) {
            before.push_str(comment);
            before.push('\n');
        }
        // No gap where it was.
        if before.is_empty() || before.ends_with("\n\n") {
            if after.is_empty() && !before.is_empty() {
                before.pop();
            }
            return before + after.strip_prefix('\n').unwrap_or(after);
        }
        before + after
    })
}

fn toml(value: &Json) -> Option<Value> {
    Some(match value {
        Json::Null => return None,
        Json::Bool(value) => (*value).into(),
        Json::Number(value) => match value.as_i64() {
            Some(whole) => whole.into(),
            None => value.as_f64()?.into(),
        },
        Json::String(text) => text.as_str().into(),
        Json::Array(items) => items.iter().map(toml).collect::<Option<Array>>()?.into(),
        Json::Object(items) => {
            let entries = items.iter().map(|(key, value)| Some((key.as_str(), toml(value)?)));
            entries.collect::<Option<InlineTable>>()?.into()
        }
    })
}
