//! The spans of a trace as a tree.

use std::collections::{HashMap, HashSet};

use crate::ids::SpanId;

/// A span's place among others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node {
    /// Its id.
    pub id: SpanId,
    /// Its parent's.
    pub parent: Option<SpanId>,
    /// Its begin, nanoseconds since the Unix epoch.
    pub start_ns: i64,
}

/// A span in the order of the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// Its id.
    pub id: SpanId,
    /// Depth; 0 for a root, and for a span whose parent is not there.
    pub depth: u32,
    /// Its parent is named and not there.
    pub is_orphan: bool,
}

/// Orders spans as a tree: every span once, parents before their children, siblings by their begin. Orphans stand beside
/// the roots; of spans that are each other's ancestors the earliest stands there too.
#[must_use]
pub fn preorder(nodes: &[Node]) -> Vec<Placed> {
    let mut sorted: Vec<&Node> = nodes.iter().collect();
    sorted.sort_unstable_by_key(|n| (n.start_ns, n.id));
    sorted.dedup_by_key(|n| n.id);
    let known: HashSet<SpanId> = sorted.iter().map(|n| n.id).collect();
    let mut children: HashMap<SpanId, Vec<SpanId>> = HashMap::new();
    let mut tops: Vec<(SpanId, bool)> = Vec::new();
    for node in &sorted {
        match node.parent {
            None => tops.push((node.id, false)),
            Some(parent) if !known.contains(&parent) => tops.push((node.id, true)),
            Some(parent) => children.entry(parent).or_default().push(node.id),
        }
    }
    let mut placed: Vec<Placed> = Vec::with_capacity(sorted.len());
    let mut seen: HashSet<SpanId> = HashSet::with_capacity(sorted.len());
    // Whoever is not reached from the tops is in a circle, or hangs on one.
    let circles = sorted.iter().map(|n| (n.id, false));
    for (top, is_orphan) in tops.into_iter().chain(circles) {
        let mut open = vec![Placed { id: top, depth: 0, is_orphan }];
        while let Some(next) = open.pop() {
            if !seen.insert(next.id) {
                continue;
            }
            placed.push(next);
            let below = children.get(&next.id).into_iter().flatten().rev();
            let depth = next.depth.saturating_add(1);
            open.extend(below.map(|id| Placed { id: *id, depth, is_orphan: false }));
        }
    }
    placed
}
