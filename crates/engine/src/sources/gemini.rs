//! Gemini CLI's folder, looked at for one thing: whether the chat of a session is there, and which directory it was made
//! in. That is what `gemini --resume` needs, and no hook is believed for it. Chats are not read beyond their first line.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use lamplight_model::ids::{Agent, SessionId};
use serde::Deserialize;

use super::open::open_regular;
use crate::config::Root;

/// Longest first line of a chat that is read; real ones are some 200 bytes.
const MAX_HEAD_BYTES: u64 = 16 * 1024;
/// Longest path of a project.
const MAX_PATH_BYTES: u64 = 4_096;
/// Entries looked at below one folder.
const MAX_ENTRIES: usize = 5_000;

/// The chat of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chat {
    /// Its file.
    pub path: PathBuf,
    /// The directory it was made in, by the agent's own note beside it.
    pub project: String,
}

#[derive(Deserialize)]
struct Head {
    #[serde(rename = "sessionId")]
    session: String,
}

/// Finds the chat of a session: `tmp/<project>/chats/session-<time>-<first 8 of the id>.jsonl`, the id in its first line.
/// The earliest of several is the one that is appended to; a resume leaves a second one with a head alone.
#[must_use]
pub fn find(roots: &[Root], session: &SessionId) -> Option<Chat> {
    let short = session.as_str().get(..8)?;
    let ending = format!("-{short}.jsonl");
    roots.iter().filter(|root| root.agent == Agent::Gemini).find_map(|root| {
        let real = fs::canonicalize(&root.path).ok()?;
        folders(&real.join("tmp")).into_iter().find_map(|project| {
            let mut chats: Vec<PathBuf> = entries(&project.join("chats"))
                .filter(|path| {
                    path.file_name().and_then(|n| n.to_str()).is_some_and(|n| n.ends_with(&ending))
                })
                .collect();
            chats.sort();
            let path = chats.into_iter().find(|path| is_of(path, session))?;
            let root = text(&project.join(".project_root"))?;
            let project = root.trim_end_matches(['\n', '\r']);
            project.starts_with('/').then(|| Chat { path, project: project.to_owned() })
        })
    })
}

/// Folders that are no links, so that nothing outside the root is looked at.
fn folders(of: &Path) -> Vec<PathBuf> {
    let is_folder = |path: &PathBuf| fs::symlink_metadata(path).is_ok_and(|m| m.is_dir());
    entries(of).filter(is_folder).collect()
}

fn entries(of: &Path) -> impl Iterator<Item = PathBuf> {
    // Absent, or nothing that can be listed: then there is no chat in it.
    let is_folder = fs::symlink_metadata(of).is_ok_and(|m| m.is_dir());
    let listed = is_folder.then(|| fs::read_dir(of).ok()).flatten();
    listed.into_iter().flatten().take(MAX_ENTRIES).filter_map(Result::ok).map(|entry| entry.path())
}

fn is_of(chat: &Path, session: &SessionId) -> bool {
    let Ok((file, _)) = open_regular(chat) else { return false };
    let mut head = Vec::new();
    let read = BufReader::new(file.take(MAX_HEAD_BYTES)).read_until(b'\n', &mut head);
    read.is_ok() && serde_json::from_slice::<Head>(&head).is_ok_and(|head| head.session == session.as_str())
}

fn text(path: &Path) -> Option<String> {
    let (file, _) = open_regular(path).ok()?;
    let mut text = String::new();
    file.take(MAX_PATH_BYTES).read_to_string(&mut text).ok()?;
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(path: &Path) -> Vec<Root> {
        vec![Root { agent: Agent::Gemini, path: path.to_owned(), is_default: true }]
    }

    #[test]
    fn a_chat_is_found_by_the_id_in_it_and_never_through_a_link() {
        let home = tempfile::tempdir().unwrap();
        let id = SessionId::new("e124c8b5-41d2-44b0-8eb0-b5411e7a7590").unwrap();
        let project = home.path().join("tmp").join("project");
        fs::create_dir_all(project.join("chats")).unwrap();
        fs::write(project.join(".project_root"), "/home/dev2/project").unwrap();
        assert_eq!(find(&root(home.path()), &id), None, "no chat");
        let chat = |name: &str, id: &str| {
            let path = project.join("chats").join(name);
            fs::write(&path, format!("{{\"sessionId\":\"{id}\",\"kind\":\"main\"}}\n{{\"id\":\"x\"}}\n"))
                .unwrap();
            path
        };
        chat("session-2026-11-20T12-00-e124c8b5.jsonl", "e124c8b5-0000-0000-0000-000000000000");
        assert_eq!(find(&root(home.path()), &id), None, "another session whose id begins alike");
        let first = chat("session-2026-11-20T12-07-e124c8b5.jsonl", id.as_str());
        chat("session-2026-11-20T12-08-e124c8b5.jsonl", id.as_str());
        let found = find(&root(home.path()), &id).unwrap();
        assert_eq!(found.path.file_name(), first.file_name());
        assert_eq!(found.project, "/home/dev2/project");
        fs::write(project.join(".project_root"), "../elsewhere").unwrap();
        assert_eq!(find(&root(home.path()), &id), None, "no directory");
        #[cfg(unix)]
        {
            let other = tempfile::tempdir().unwrap();
            fs::create_dir(other.path().join("tmp")).unwrap();
            std::os::unix::fs::symlink(&project, other.path().join("tmp").join("project")).unwrap();
            assert_eq!(find(&root(other.path()), &id), None, "a link out of the root");
        }
    }
}
