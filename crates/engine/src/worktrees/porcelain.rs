//! Reads `git status --porcelain=v2 --branch --show-stash -z`.

use std::path::{Path, PathBuf};

use lamplight_model::worktree::{Branch, Counts};

/// What a status says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Listing {
    pub branch: Branch,
    /// Entries of the repository's stash.
    pub stashes: u32,
    pub counts: Counts,
    /// Paths it names, relative to the root.
    pub paths: Vec<PathBuf>,
    /// Folders of which nothing is under version control; they end in `/`.
    pub folders: Vec<PathBuf>,
    /// What it says that is work of somebody's, entry by entry, each with its end.
    pub entries: Vec<u8>,
}

/// Entries that agents write into a worktree for themselves: they are no work of anybody's.
const MARKERS: &[&str] = &[".claude/settings.local.json", ".claude/worktrees"];

/// Reads a status. Unknown lines are passed over: newer versions of git may add headers. `is_agents_own` says of a folder that
/// nothing but [markers](is_marker) is in it.
pub(super) fn parse(output: &[u8], is_agents_own: impl Fn(&Path) -> bool) -> Listing {
    let mut listing = Listing::default();
    let mut fields = output.split(|byte| *byte == 0);
    while let Some(entry) = fields.next() {
        match entry {
            [b'#', b' ', header @ ..] => listing.read_header(header),
            // "1 XY sub mH mI mW hH hI path"
            [b'1', b' ', x, y, b' ', ..] => {
                listing.changed(*x, *y, path_after(entry, 8));
                listing.keep(entry);
            }
            // "2 XY sub mH mI mW hH hI Xscore path", then the path it came from as a field of its own.
            [b'2', b' ', x, y, b' ', ..] => {
                listing.changed(*x, *y, path_after(entry, 9));
                listing.keep(entry);
                listing.keep(fields.next().unwrap_or_default());
            }
            // "u XY sub m1 m2 m3 mW h1 h2 h3 path"
            [b'u', b' ', ..] => {
                listing.counts.conflicted += 1;
                listing.add(path_after(entry, 10));
                listing.keep(entry);
            }
            [b'?', b' ', bytes @ ..] => {
                let path = to_path(bytes);
                let is_folder = bytes.ends_with(b"/");
                if is_marker(&path) || (is_folder && leads_to_marker(&path) && is_agents_own(&path)) {
                    continue;
                }
                listing.counts.untracked += 1;
                listing.counts.paths += 1;
                listing.folders.extend(is_folder.then(|| path.clone()));
                listing.paths.push(path);
                listing.keep(entry);
            }
            _ => {}
        }
    }
    listing
}

impl Listing {
    fn changed(&mut self, index: u8, worktree: u8, path: Option<&[u8]>) {
        self.counts.staged += u32::from(index != b'.');
        self.counts.unstaged += u32::from(worktree != b'.');
        self.add(path);
    }

    fn keep(&mut self, entry: &[u8]) {
        self.entries.extend_from_slice(entry);
        self.entries.push(0);
    }

    fn add(&mut self, path: Option<&[u8]>) {
        self.counts.paths += 1;
        self.paths.extend(path.map(to_path));
    }

    fn read_header(&mut self, header: &[u8]) {
        let text = String::from_utf8_lossy(header);
        if let Some(name) = text.strip_prefix("branch.head ") {
            self.branch.name = (name != "(detached)").then(|| name.to_owned());
        } else if let Some(count) = text.strip_prefix("stash ") {
            self.stashes = count.parse().unwrap_or(0);
        } else if let Some(counts) = text.strip_prefix("branch.ab +")
            && let Some((ahead, behind)) = counts.split_once(" -")
        {
            self.branch.ahead = ahead.parse().ok();
            self.branch.behind = behind.parse().ok();
        }
    }
}

/// The rest of an entry after so many spaces: paths hold spaces themselves.
fn path_after(entry: &[u8], spaces: usize) -> Option<&[u8]> {
    entry.splitn(spaces + 1, |byte| *byte == b' ').nth(spaces)
}

/// Whether a path relative to the root is an agent's own, or lies in a folder that is.
pub(super) fn is_marker(path: &Path) -> bool {
    MARKERS.iter().any(|marker| path.starts_with(marker))
}

/// Whether an agent's own may lie in a folder.
pub(super) fn leads_to_marker(folder: &Path) -> bool {
    MARKERS.iter().any(|marker| Path::new(marker).starts_with(folder))
}

/// Paths that are separated by zeros.
pub(super) fn paths(output: &[u8]) -> impl Iterator<Item = PathBuf> {
    output.split(|byte| *byte == 0).filter(|path| !path.is_empty()).map(to_path)
}

#[cfg(unix)]
fn to_path(bytes: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    PathBuf::from(std::ffi::OsStr::from_bytes(bytes))
}

#[cfg(not(unix))]
fn to_path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(String::from_utf8_lossy(bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_entry_is_counted_once() {
        let output =
            b"# branch.oid 1234\0# branch.head main\0# branch.upstream origin/main\0# branch.ab +3 -2\0# stash 4\0\
            1 M. N... 100644 100644 100644 a b staged file\0\
            1 .M N... 100644 100644 100644 a b changed\0\
            1 MM N... 100644 100644 100644 a b both\0\
            2 R. N... 100644 100644 100644 a b R100 new name\0? old name\0\
            u UU N... 100644 100644 100644 100644 a b c torn\0\
            ? new/\0? .claude/settings.local.json\0? .claude/worktrees/\0";
        let listing = parse(output, |_| false);
        let branch =
            Branch { name: Some("main".to_owned()), ahead: Some(3), behind: Some(2), ..Branch::default() };
        assert_eq!((listing.branch, listing.stashes), (branch, 4));
        let counts = Counts { staged: 3, unstaged: 2, untracked: 1, conflicted: 1, paths: 6 };
        assert_eq!(listing.counts, counts);
        let paths = ["staged file", "changed", "both", "new name", "torn", "new/"].map(PathBuf::from);
        assert_eq!(listing.paths, paths);
        assert_eq!(listing.folders, [PathBuf::from("new/")]);
        let kept: Vec<&[u8]> = listing.entries.split(|byte| *byte == 0).collect();
        assert_eq!(kept.len(), 8, "six, the former name of one, and the end: {kept:?}");
    }

    #[test]
    fn a_fresh_repository_and_nonsense_are_clean() {
        let listing = parse(b"# branch.oid (initial)\0# branch.head (detached)\0nonsense\0\0", |_| false);
        assert_eq!(listing, Listing::default());
    }
}
