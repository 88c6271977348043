//! Putting a hook into the spool, within some milliseconds of the agent's time.

use std::fs::{self, OpenOptions};
use std::io::{self, BufReader, Cursor, ErrorKind, Read, Write};
use std::path::Path;
use std::time::Duration;

use lamplight_model::ids::Agent;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::{FULL, MAX_BODY_BYTES, MAX_BYTES, MAX_FILES, make_folder};
use crate::sources::decode::shorten::Shorten;

/// One in so many hooks looks whether the spool is full: looking costs time where it nearly is.
const LOOK_ONE_IN: u32 = 16;
/// Files whose size stands for that of all.
const SAMPLE: usize = 64;
/// Of a body that is too long: characters kept of each text, elements of each list, and how deep.
const CUT_CHARS: usize = 2_000;
const CUT_ELEMENTS: usize = 64;
const CUT_DEPTH: u8 = 8;
/// What may be kept of it in all, as JSON.
const CUT_BYTES: usize = 200 * 1024;

/// What is written around the event.
#[derive(Debug, Clone, Copy)]
pub struct Envelope {
    /// Whose hook it is.
    pub agent: Agent,
    /// Time since the Unix epoch at which it was received.
    pub received: Duration,
    /// The hook's own process, which makes the name of the file its own.
    pub pid: u32,
    /// Its parent: the agent, or a shell it started.
    pub parent: u32,
}

/// Why a hook was not kept.
#[derive(Debug, thiserror::Error)]
pub enum PutError {
    /// Nothing came.
    #[error("there is no event")]
    Empty,
    /// What came is no JSON object.
    #[error("the event is no JSON object")]
    NotAnObject,
    /// More hooks wait than the spool holds.
    #[error("the spool is full")]
    Full,
    /// The system refused.
    #[error("the event could not be written")]
    Io(#[from] io::Error),
}

/// Writes one event into the spool. It is read to its end in any case: an agent that cannot write it all may complain.
///
/// # Errors
/// [`PutError`]; nothing is left behind then.
pub fn put(spool: &Path, envelope: Envelope, mut body: impl Read) -> Result<(), PutError> {
    let mut head = Vec::new();
    body.by_ref().take(MAX_BODY_BYTES as u64 + 1).read_to_end(&mut head)?;
    let (payload, is_cut) = if head.len() <= MAX_BODY_BYTES {
        (head, false)
    } else {
        let mut whole = Cursor::new(head).chain(body);
        let cut = cut_down(&mut whole);
        io::copy(&mut whole, &mut io::sink())?;
        (cut?, true)
    };
    if payload.trim_ascii().is_empty() {
        return Err(PutError::Empty);
    }
    let is_object = payload.trim_ascii_start().starts_with(b"{");
    if !is_object || !is_cut && serde_json::from_slice::<IgnoredAny>(&payload).is_err() {
        return Err(PutError::NotAnObject);
    }
    if is_full(spool, envelope.received) {
        return Err(PutError::Full);
    }
    let name = format!(
        "{:013}{:06}-{}.json",
        envelope.received.as_millis(),
        envelope.received.subsec_nanos() % 1_000_000,
        envelope.pid
    );
    let (first, last) = (spool.join(format!(".{name}")), spool.join(name));
    let mut text = format!(
        r#"{{"v":1,"agent":"{}","received_at_ms":{},"pid_parent":{},{}"payload":"#,
        envelope.agent,
        envelope.received.as_millis(),
        envelope.parent,
        if is_cut { r#""cut":true,"# } else { "" }
    )
    .into_bytes();
    text.extend_from_slice(&payload);
    text.push(b'}');
    let written = write_new(spool, &first, &text).and_then(|()| fs::rename(&first, &last));
    if written.is_err() {
        // It was never there, or cannot be removed either; the engine removes it then.
        let _ = fs::remove_file(&first);
    }
    Ok(written?)
}

fn write_new(spool: &Path, path: &Path, text: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = match options.open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            make_folder(spool)?;
            options.open(path)?
        }
        opened => opened?,
    };
    file.write_all(text)
}

/// Whether more waits than the spool holds, which happens only while no engine runs. Whoever finds it so leaves a mark
/// for those that do not look; the engine takes it away.
fn is_full(spool: &Path, received: Duration) -> bool {
    let mark = spool.join(FULL);
    if mark.exists() {
        return true;
    }
    // The clock's fine part is as good as chance.
    if !received.subsec_micros().is_multiple_of(LOOK_ONE_IN) {
        return false;
    }
    let Ok(entries) = fs::read_dir(spool) else { return false };
    let (mut files, mut sampled, mut bytes) = (0_usize, 0_u64, 0_u64);
    for entry in entries.flatten() {
        files += 1;
        if files <= SAMPLE
            && let Ok(metadata) = entry.metadata()
        {
            sampled += 1;
            bytes += metadata.len();
        }
    }
    let estimate = (bytes / sampled.max(1)).saturating_mul(files as u64);
    let is_full = files >= MAX_FILES || estimate >= MAX_BYTES;
    if is_full {
        // Without the mark the next to look finds the same.
        let _ = OpenOptions::new().write(true).create(true).truncate(false).open(mark);
    }
    is_full
}

/// Cuts a body of any length down to what is kept, in constant memory.
fn cut_down(body: &mut impl Read) -> Result<Vec<u8>, PutError> {
    let mut json = serde_json::Deserializer::from_reader(BufReader::new(Shorten::new(BufReader::new(body))));
    let mut left = CUT_BYTES;
    let value =
        Cut { left: &mut left, depth: 0 }.deserialize(&mut json).map_err(|_| PutError::NotAnObject)?;
    json.end().map_err(|_| PutError::NotAnObject)?;
    serde_json::to_vec(&value).map_err(|_| PutError::NotAnObject)
}

/// Reads any JSON value, and keeps so much of it.
struct Cut<'a> {
    left: &'a mut usize,
    depth: u8,
}

impl Cut<'_> {
    /// Takes room for what is written as so many bytes; `false` when there is none left.
    fn take(&mut self, bytes: usize) -> bool {
        match self.left.checked_sub(bytes + 1) {
            Some(left) => {
                *self.left = left;
                true
            }
            None => false,
        }
    }

    fn deeper(&mut self) -> Cut<'_> {
        Cut { left: self.left, depth: self.depth + 1 }
    }
}

impl<'de> DeserializeSeed<'de> for Cut<'_> {
    type Value = Value;
    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        if self.depth > CUT_DEPTH || *self.left == 0 {
            deserializer.deserialize_ignored_any(IgnoredAny).map(|_| Value::Null)
        } else {
            deserializer.deserialize_any(self)
        }
    }
}

impl<'de> Visitor<'de> for Cut<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("any JSON value")
    }
    fn visit_str<E: Error>(mut self, text: &str) -> Result<Value, E> {
        let end = text.char_indices().nth(CUT_CHARS).map_or(text.len(), |(end, _)| end);
        let value = Value::from(text.get(..end).unwrap_or_default());
        // As written: a control character takes six bytes.
        Ok(if self.take(value.to_string().len()) { value } else { Value::Null })
    }
    fn visit_bool<E: Error>(mut self, value: bool) -> Result<Value, E> {
        Ok(if self.take(5) { value.into() } else { Value::Null })
    }
    fn visit_u64<E: Error>(mut self, value: u64) -> Result<Value, E> {
        Ok(if self.take(20) { value.into() } else { Value::Null })
    }
    fn visit_i64<E: Error>(mut self, value: i64) -> Result<Value, E> {
        Ok(if self.take(20) { value.into() } else { Value::Null })
    }
    fn visit_f64<E: Error>(mut self, value: f64) -> Result<Value, E> {
        Ok(if self.take(25) { value.into() } else { Value::Null })
    }
    fn visit_unit<E: Error>(mut self) -> Result<Value, E> {
        self.take(4);
        Ok(Value::Null)
    }
    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while list.len() < CUT_ELEMENTS && self.take(4) {
            match seq.next_element_seed(self.deeper())? {
                Some(element) => list.push(element),
                None => return Ok(Value::Array(list)),
            }
        }
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Value::Array(list))
    }
    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while object.len() < CUT_ELEMENTS {
            let Some(name) = map.next_key::<String>()? else { return Ok(Value::Object(object)) };
            if name.len() > CUT_CHARS || !self.take(Value::from(name.as_str()).to_string().len() + 1) {
                map.next_value::<IgnoredAny>()?;
                break;
            }
            let value = map.next_value_seed(self.deeper())?;
            object.insert(name, value);
        }
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope(n: u32) -> Envelope {
        // Never one that looks whether the spool is full.
        Envelope {
            agent: Agent::ClaudeCode,
            received: Duration::new(1, n * 16_000 + 1_000),
            pid: n,
            parent: 1,
        }
    }

    fn written(spool: &Path) -> Vec<Value> {
        let mut names: Vec<_> =
            fs::read_dir(spool).into_iter().flatten().map(|e| e.unwrap().path()).collect();
        names.sort();
        names.iter().map(|p| serde_json::from_slice(&fs::read(p).unwrap()).unwrap()).collect()
    }

    #[test]
    fn an_event_is_one_file_its_owner_alone_can_read() {
        let dir = tempfile::tempdir().unwrap();
        let spool = dir.path().join("data/spool");
        put(&spool, envelope(7), &br#" {"session_id":"a","n":[1,2]} "#[..]).unwrap();
        let [file] = written(&spool).try_into().unwrap();
        let payload = serde_json::json!({"session_id": "a", "n": [1, 2]});
        assert_eq!(
            file,
            serde_json::json!({"v": 1, "agent": "claude-code", "received_at_ms": 1000, "pid_parent": 1, "payload": payload})
        );
        #[cfg(unix)]
        for (path, mode) in
            [(spool.clone(), 0o700), (fs::read_dir(&spool).unwrap().next().unwrap().unwrap().path(), 0o600)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, mode, "{}", path.display());
        }
    }

    #[test]
    fn names_sort_by_time() {
        let dir = tempfile::tempdir().unwrap();
        for n in [3, 1, 2] {
            put(dir.path(), envelope(n), format!("{{\"n\":{n}}}").as_bytes()).unwrap();
        }
        let order: Vec<u64> =
            written(dir.path()).iter().map(|f| f["payload"]["n"].as_u64().unwrap()).collect();
        assert_eq!(order, [1, 2, 3]);
    }

    #[test]
    fn what_is_no_event_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let deep = "[".repeat(300_000);
        for (n, bad) in
            ["", "  \n", "null", "[1]", "\"text\"", "{\"a\":", "{}x", "\u{0}", &deep].iter().enumerate()
        {
            let n = u32::try_from(n).unwrap();
            assert!(put(dir.path(), envelope(n), bad.as_bytes()).is_err(), "{}", &bad[..bad.len().min(9)]);
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_long_body_is_cut_and_marked_and_says_the_same() {
        let long = "\u{1}ä".repeat(2_000_000);
        let many: Vec<u32> = (0..200_000).collect();
        let body = serde_json::json!({
            "session_id": "a", "tool_name": "Write", "tool_input": {"file_path": "/x", "content": long},
            "tool_response": {"all": many, "deep": [[[[[[[[[[[[1]]]]]]]]]]]]}, "hook_event_name": "PostToolUse"
        });
        let dir = tempfile::tempdir().unwrap();
        put(dir.path(), envelope(1), body.to_string().as_bytes()).unwrap();
        let [file] = written(dir.path()).try_into().unwrap();
        assert_eq!(file["cut"], true);
        let payload = &file["payload"];
        assert_eq!(payload["session_id"], "a");
        assert_eq!(payload["tool_input"]["file_path"], "/x");
        assert_eq!(payload["tool_input"]["content"].as_str().unwrap().chars().count(), CUT_CHARS);
        assert_eq!(payload["tool_response"]["all"].as_array().unwrap().len(), CUT_ELEMENTS);
        assert_eq!(payload["hook_event_name"], "PostToolUse");
        assert!(file.to_string().len() <= MAX_BODY_BYTES);
    }

    #[test]
    fn a_body_of_many_texts_stays_within_the_limit() {
        let texts = |n: usize| {
            (0..n).map(|n| (format!("k{n}"), "y".repeat(1_500))).collect::<std::collections::BTreeMap<_, _>>()
        };
        let body = serde_json::json!({"session_id": "a", "a": texts(60), "b": texts(60), "c": texts(60)});
        let dir = tempfile::tempdir().unwrap();
        put(dir.path(), envelope(1), body.to_string().as_bytes()).unwrap();
        let [file] = written(dir.path()).try_into().unwrap();
        assert!(file.to_string().len() <= MAX_BODY_BYTES);
    }

    #[test]
    fn a_full_spool_takes_nothing_and_is_marked() {
        let dir = tempfile::tempdir().unwrap();
        let large = fs::File::create(dir.path().join("0.json")).unwrap();
        large.set_len(MAX_BYTES).unwrap();
        let looks = Envelope { received: Duration::new(1, 0), ..envelope(1) };
        assert!(matches!(put(dir.path(), looks, &b"{}"[..]), Err(PutError::Full)));
        assert!(dir.path().join(FULL).exists());
        assert!(matches!(put(dir.path(), envelope(1), &b"{}"[..]), Err(PutError::Full)));
        super::super::list(dir.path()).unwrap();
        put(dir.path(), envelope(1), &b"{}"[..]).unwrap();
    }
}
