//! Reads `git status --porcelain=v2 --branch -z`.

use std::path::PathBuf;

use lamplight_model::worktree::{Branch, Counts};

/// What a status says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Listing {
    pub branch: Branch,
    pub counts: Counts,
    /// Paths it names, relative to the root.
    pub paths: Vec<PathBuf>,
}

/// Entries that agents write into a worktree for themselves: they are no work of anybody's.
const MARKERS: &[&str] = &[".claude/settings.local.json", ".claude/worktrees/"];

/// Reads a status. Unknown lines are passed over: newer versions of git may add headers.
pub(super) fn parse(output: &[u8]) -> Listing {
    let mut listing = Listing::default();
    let mut fields = output.split(|byte| *byte == 0);
    while let Some(entry) = fields.next() {
        match entry {
            [b'#', b' ', header @ ..] => read_header(header, &mut listing.branch),
            // "1 XY sub mH mI mW hH hI path"
            [b'1', b' ', x, y, b' ', ..] => listing.changed(*x, *y, path_after(entry, 8)),
            // "2 XY sub mH mI mW hH hI Xscore path", then the path it came from as a field of its own.
            [b'2', b' ', x, y, b' ', ..] => {
                listing.changed(*x, *y, path_after(entry, 9));
                fields.next();
            }
            // "u XY sub m1 m2 m3 mW h1 h2 h3 path"
            [b'u', b' ', ..] => {
                listing.counts.conflicted += 1;
                listing.add(path_after(entry, 10));
            }
            [b'?', b' ', path @ ..] if !is_marker(path) => {
                listing.counts.untracked += 1;
                listing.add(Some(path));
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

    fn add(&mut self, path: Option<&[u8]>) {
        self.counts.paths += 1;
        self.paths.extend(path.map(to_path));
    }
}

fn read_header(header: &[u8], branch: &mut Branch) {
    let text = String::from_utf8_lossy(header);
    if let Some(name) = text.strip_prefix("branch.head ") {
        branch.name = (name != "(detached)").then(|| name.to_owned());
    } else if let Some(counts) = text.strip_prefix("branch.ab +")
        && let Some((ahead, behind)) = counts.split_once(" -")
    {
        branch.ahead = ahead.parse().ok();
        branch.behind = behind.parse().ok();
    }
}

/// The rest of an entry after so many spaces: paths hold spaces themselves.
fn path_after(entry: &[u8], spaces: usize) -> Option<&[u8]> {
    entry.splitn(spaces + 1, |byte| *byte == b' ').nth(spaces)
}

fn is_marker(path: &[u8]) -> bool {
    MARKERS.iter().any(|marker| path == marker.as_bytes())
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
            b"# branch.oid 1234\0# branch.head main\0# branch.upstream origin/main\0# branch.ab +3 -2\0\
            1 M. N... 100644 100644 100644 a b staged file\0\
            1 .M N... 100644 100644 100644 a b changed\0\
            1 MM N... 100644 100644 100644 a b both\0\
            2 R. N... 100644 100644 100644 a b R100 new name\0? old name\0\
            u UU N... 100644 100644 100644 100644 a b c torn\0\
            ? new/\0? .claude/settings.local.json\0? .claude/worktrees/\0";
        let listing = parse(output);
        let branch = Branch { name: Some("main".to_owned()), ahead: Some(3), behind: Some(2) };
        assert_eq!(listing.branch, branch);
        let counts = Counts { staged: 3, unstaged: 2, untracked: 1, conflicted: 1, paths: 6 };
        assert_eq!(listing.counts, counts);
        let paths = ["staged file", "changed", "both", "new name", "torn", "new/"].map(PathBuf::from);
        assert_eq!(listing.paths, paths);
    }

    #[test]
    fn a_fresh_repository_and_nonsense_are_clean() {
        let listing = parse(b"# branch.oid (initial)\0# branch.head (detached)\0nonsense\0\0");
        assert_eq!(listing, Listing::default());
    }
}
