//! Which lines of a transcript a row of the timeline lists. Rows name kinds, not offsets, and long rows are cut.

/// A row of the timeline that lists lines of one file.
#[derive(Debug)]
pub(crate) struct Row {
    /// Milliseconds since the start.
    pub at_ms: i64,
    /// Kinds listed.
    pub kinds: Vec<String>,
    /// The last kind is cut, and more may follow.
    pub is_cut: bool,
    /// The file appeared under another path: everything before is listed again, and cut.
    pub is_move: bool,
}

/// A line of the transcript: its kind as the timeline writes it, and its own time.
#[derive(Debug)]
pub(crate) struct Line {
    pub kind: String,
    /// Milliseconds since the start; `None` where the record has no time.
    pub at_ms: Option<i64>,
}

/// A poll sees a line up to this long before the clocks of row and record agree.
const CLOCK_SLACK_MS: i64 = 30;

/// Returns how many lines stand in the file after each row; `None` when rows and lines do not fit.
pub(crate) fn align(rows: &[Row], lines: &[Line]) -> Option<Vec<usize>> {
    let mut dead = vec![vec![false; lines.len() + 1]; rows.len() + 1];
    let mut ends = Vec::new();
    fits(rows, lines, 0, &mut dead, &mut ends).then_some(ends)
}

fn fits(rows: &[Row], lines: &[Line], from: usize, dead: &mut [Vec<bool>], ends: &mut Vec<usize>) -> bool {
    let row_number = ends.len();
    let Some(row) = rows.get(row_number) else { return from == lines.len() };
    if dead[row_number][from] {
        return false;
    }
    for to in candidates(row, lines, from) {
        ends.push(to);
        if fits(rows, lines, to, dead, ends) {
            return true;
        }
        ends.pop();
    }
    dead[row_number][from] = true;
    false
}

fn candidates(row: &Row, lines: &[Line], from: usize) -> Vec<usize> {
    let written = |line: &Line| line.at_ms.is_none_or(|at| at <= row.at_ms + CLOCK_SLACK_MS);
    let most = from + lines.iter().skip(from).take_while(|l| written(l)).count();
    if row.is_move {
        return (from..=most).collect();
    }
    let mut ends = Vec::new();
    // A poll may list again what the one before listed.
    for again in 0..=row.kinds.len().min(from) {
        let whole = row.kinds.len().saturating_sub(usize::from(row.is_cut));
        let start = from - again;
        let end = start + whole;
        let listed = lines.iter().skip(start);
        if end > most || row.kinds.iter().take(whole).zip(listed).any(|(kind, line)| *kind != line.kind) {
            continue;
        }
        if !row.is_cut {
            ends.extend((end >= from).then_some(end));
            continue;
        }
        let begins = match (row.kinds.last(), lines.get(end)) {
            (Some(cut), Some(line)) => line.kind.starts_with(cut.as_str()),
            _ => false,
        };
        // As many as could have been written by then: a poll lists everything it finds.
        if begins {
            ends.extend(((end + 1).max(from)..=most).rev());
        }
    }
    ends
}
