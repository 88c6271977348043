//! The outcome of many scenarios as a table.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use lamplight_model::ids::Agent;

use crate::hold::Held;

#[derive(Default)]
struct Line {
    right: usize,
    all: usize,
    delays: Vec<i64>,
}

/// Writes the table: per agent and state the labels that came out right and the delay of changes; then the needs of
/// tier 1 and 2, and everything that is not as labelled, by name.
#[must_use]
pub fn table<'a>(outcomes: impl IntoIterator<Item = (Agent, &'a Held)>) -> String {
    let mut lines: BTreeMap<(Agent, usize, &str), Line> = BTreeMap::new();
    let mut needs: BTreeMap<Agent, [u32; 4]> = BTreeMap::new();
    let mut findings = Vec::new();
    for (agent, held) in outcomes {
        for (state, right) in &held.labels {
            let word = state.map_or("one of several", |s| s.as_str());
            let line = lines.entry((agent, state.map_or(usize::MAX, |s| s as usize), word)).or_default();
            line.all += 1;
            line.right += usize::from(*right);
        }
        for delay in &held.delays {
            let word = delay.state.map_or("one of several", |s| s.as_str());
            let line =
                lines.entry((agent, delay.state.map_or(usize::MAX, |s| s as usize), word)).or_default();
            line.delays.push(delay.ms);
        }
        let sum = needs.entry(agent).or_default();
        let (said, all) = held.needs;
        *sum = [sum[0] + said, sum[1] + all, sum[2] + held.passing_needs, sum[3] + held.passing_states];
        findings.extend(held.findings.iter().map(|f| f.name.as_str()));
    }
    findings.sort_unstable();
    let mut text = String::new();
    let mut write = |line: String| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}", line.trim_end());
    };
    write(format!(
        "{:<12} {:<20} {:>9} {:>8} {:>8} {:>8}",
        "agent", "state", "labels", "right", "p50 ms", "p95 ms"
    ));
    for ((agent, _, word), line) in &mut lines {
        line.delays.sort_unstable();
        let percent = line.right * 100 / line.all.max(1);
        let counted = format!("{}/{}", line.right, line.all);
        let [p50, p95] = [50, 95]
            .map(|share| percentile(&line.delays, share).map_or_else(|| "-".to_owned(), |ms| ms.to_string()));
        write(format!("{:<12} {word:<20} {counted:>9} {percent:>7}% {p50:>8} {p95:>8}", agent.as_str()));
    }
    write(String::new());
    for (agent, [said, all, passing_needs, passing_states]) in needs {
        let agent = agent.as_str();
        write(format!("{agent:<12} needs of tier 1 and 2: {said} of {all}"));
        write(format!(
            "{agent:<12} within the lag: {passing_states} states and {passing_needs} needs shown in passing that no label names"
        ));
    }
    write(String::new());
    write(format!("not as labelled: {}", findings.len()));
    for name in findings {
        write(format!("  {name}"));
    }
    text
}

/// The smallest value that a share of all values does not exceed.
pub(crate) fn percentile(sorted: &[i64], share: usize) -> Option<i64> {
    let rank = (sorted.len() * share).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}
