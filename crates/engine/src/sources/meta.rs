//! Small files beside transcripts: a subagent's meta file, Codex's index of titles.

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use lamplight_model::ids::Agent;

use super::decode;
use super::open::{file_id, open_regular};
use crate::facts::{FileId, FileRole, Input};

/// Largest meta file read; the real ones have a few hundred bytes.
const MAX_META_BYTES: u64 = 256 * 1024;

/// Most of a title index read at once; one of 100,000 names has about 15 MB.
const MAX_INDEX_BYTES: u64 = 64 * 1024 * 1024;

/// Reads a subagent's meta file; `None` when it is absent or not whole yet (its next write is seen).
#[must_use]
pub fn read_meta(path: &Path, role: &FileRole) -> Option<Input> {
    let subagent = role.subagent.clone()?;
    let (file, _) = open_regular(path).ok()?;
    let mut bytes = Vec::new();
    // An unreadable meta file costs a description, nothing else.
    file.take(MAX_META_BYTES).read_to_end(&mut bytes).ok()?;
    let meta = decode::claude::subagent_meta(&bytes)?;
    Some(Input::SubagentMeta {
        session: role.session.clone(),
        subagent,
        kind: meta.kind,
        description: meta.description,
        finished: meta.finished,
    })
}

/// Reads titles appended to `session_index.jsonl`.
#[derive(Debug, Default)]
pub struct TitleIndex {
    file: Option<FileId>,
    offset: u64,
}

impl TitleIndex {
    /// Returns the titles given since the last call; everything again when the file was replaced or cut.
    pub fn read(&mut self, path: &Path) -> Vec<Input> {
        let Ok((mut file, metadata)) = open_regular(path) else { return Vec::new() };
        let id = file_id(path, &metadata);
        if self.file != Some(id) || metadata.len() < self.offset {
            *self = Self { file: Some(id), offset: 0 };
        }
        if metadata.len() == self.offset || file.seek(SeekFrom::Start(self.offset)).is_err() {
            return Vec::new();
        }
        let mut bytes = Vec::new();
        // A failing read leaves what was read before it; the rest comes with the next event.
        let _ = file.take(MAX_INDEX_BYTES).read_to_end(&mut bytes);
        let Some(end) = memchr::memrchr(b'\n', &bytes) else { return Vec::new() };
        self.offset += u64::try_from(end + 1).unwrap_or_default();
        bytes
            .get(..end)
            .unwrap_or_default()
            .split(|b| *b == b'\n')
            .filter_map(decode::codex::index_line)
            .map(|(session, text, at)| Input::Title { agent: Agent::Codex, session, text, at })
            .collect()
    }
}
