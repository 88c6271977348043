//! Which worktree each session works in, what was found there, and whose work is at risk.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;

use lamplight_model::ids::Timestamp;
use lamplight_model::view::{GitState, GitView, Worktree};
use lamplight_model::worktree::{Around, Finding, at_risk};

use crate::facts::WorktreeLook;
use crate::worktrees::Order;

/// A session of which nobody knows whether it runs is taken to run for so long after its last sign.
const MAY_RUN_MS: i64 = 5 * 60_000;

/// What was looked at this lately is not looked at again only because somebody came to see.
const FRESH_MS: i64 = 30_000;

/// A look this soon after an agent came shows what lay there before it.
const JUST_CAME_MS: i64 = 30_000;

/// All worktrees of the sessions on the screen.
#[derive(Debug, Default)]
pub(super) struct Worktrees {
    trees: BTreeMap<String, Tree>,
    of_session: HashMap<i64, String>,
    /// Looks that are wanted and not ordered yet.
    wanted: BTreeSet<String>,
    /// The set of worktrees differs from what the tender follows.
    is_other_set: bool,
    /// The list on the screen may differ.
    changed: bool,
}

#[derive(Debug, Default)]
struct Tree {
    found: Option<Found>,
    /// Mark of what was uncommitted before the first agent came, where somebody looked in time.
    before: Option<u128>,
    /// The next look shows what lay there before.
    awaits_before: bool,
    members: BTreeMap<i64, Presence>,
    /// What was told of it last.
    risk: Risk,
    owner: Option<i64>,
    /// The work that was at risk last.
    left: Option<Left>,
    /// When nobody is taken to run there any more, if nothing is heard until then.
    empty_at: Option<Timestamp>,
}

/// Work that was left behind. It is that as long as it looks the same, whoever came and went without touching it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Left {
    owner: i64,
    since: Timestamp,
    mark: u128,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Found {
    finding: Finding,
    mark: u128,
    at: Timestamp,
}

/// A session in a worktree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Presence {
    /// `agent:session_id`.
    pub key: String,
    pub is_alive: bool,
    /// Nobody knows whether it runs.
    pub is_unknown: bool,
    pub started_at: Option<Timestamp>,
    pub last_activity: Option<Timestamp>,
    /// Its last activity, or its end where that is known and later.
    pub left_at: Option<Timestamp>,
    /// Changes when a tool or a turn ends.
    pub step: (u32, usize, bool),
}

/// Whether the work in a worktree is at risk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Risk {
    /// Nobody has looked, or could: what was thought before still holds.
    #[default]
    NotKnown,
    None,
    Since(Timestamp),
}

impl Worktrees {
    /// Whether somebody is known to work there.
    pub(super) fn has(&self, root: &str) -> bool {
        self.trees.contains_key(root)
    }

    /// Begins with a worktree; `before` is what is stored of the time before its agents.
    pub(super) fn open(&mut self, root: &str, before: Option<u128>) {
        self.trees.entry(root.to_owned()).or_default().before = before;
        self.is_other_set = true;
    }

    /// Notes where a session is. Returns the sessions whose part in it changed, to be judged again.
    pub(super) fn note(
        &mut self,
        id: i64,
        root: Option<&str>,
        presence: Presence,
        now: Timestamp,
    ) -> Vec<i64> {
        let mut touched = Vec::new();
        if self.of_session.get(&id).map(String::as_str) != root {
            touched.extend(self.forget(id, now));
            if let Some(root) = root {
                self.of_session.insert(id, root.to_owned());
            }
        }
        let Some(root) = root else { return touched };
        let tree = self.trees.entry(root.to_owned()).or_default();
        let known = tree.members.get(&id);
        if known == Some(&presence) {
            return touched;
        }
        let came = presence.is_alive && known.is_none_or(|k| !k.is_alive);
        let is_first = tree.members.iter().all(|(other, p)| *other == id || !p.is_alive);
        if came && is_first {
            // Where nobody looks in time an older mark still holds: it is equal only if nothing was touched since.
            // Work that a session left is that session's, also when it is the one that came back.
            tree.awaits_before = !tree.shows_what_was_left()
                && presence.started_at.is_some_and(|at| now.since(at) <= JUST_CAME_MS);
        }
        if came || known.is_none_or(|k| k.step != presence.step || k.is_alive != presence.is_alive) {
            self.wanted.insert(root.to_owned());
        }
        self.changed |= known.is_none();
        tree.members.insert(id, presence);
        let weighed = tree.weigh(now);
        self.changed |= !weighed.is_empty();
        touched.extend(weighed);
        touched.retain(|other| *other != id);
        touched
    }

    /// A session is not on the screen any more.
    pub(super) fn forget(&mut self, id: i64, now: Timestamp) -> Vec<i64> {
        let Some(root) = self.of_session.remove(&id) else { return Vec::new() };
        let Some(tree) = self.trees.get_mut(&root) else { return Vec::new() };
        tree.members.remove(&id);
        self.changed = true;
        if tree.members.is_empty() {
            self.trees.remove(&root);
            self.wanted.remove(&root);
            self.is_other_set = true;
            return Vec::new();
        }
        tree.weigh(now)
    }

    /// Takes what a look found; returns the sessions to be judged again, and whether what was found is to be kept as what
    /// lay there before.
    pub(super) fn found(&mut self, root: &str, look: WorktreeLook, now: Timestamp) -> (Vec<i64>, bool) {
        // It may have been let go meanwhile.
        let Some(tree) = self.trees.get_mut(root) else { return (Vec::new(), false) };
        let was_before = tree.before;
        if std::mem::take(&mut tree.awaits_before)
            && matches!(look.finding, Finding::Clean(_) | Finding::Dirty(..))
        {
            tree.before = Some(look.mark);
        }
        let is_news = tree.found.as_ref().is_none_or(|known| known.finding != look.finding);
        tree.found = Some(Found { finding: look.finding, mark: look.mark, at: look.at });
        let mut touched = tree.weigh(now);
        self.changed |= is_news || !touched.is_empty();
        if is_news {
            touched.extend(tree.members.keys());
        }
        (touched, tree.before != was_before)
    }

    /// Wants a look at the worktree of a session: its person came to see.
    pub(super) fn look_at(&mut self, session: &str) {
        let root = self.trees.iter().find(|(_, tree)| tree.members.values().any(|p| p.key == session));
        self.wanted.extend(root.map(|(root, _)| root.clone()));
    }

    /// Wants a look at every worktree that was not looked at for half a minute.
    pub(super) fn look_at_old(&mut self, now: Timestamp) {
        let is_old = |tree: &Tree| tree.found.as_ref().is_none_or(|found| now.since(found.at) > FRESH_MS);
        self.wanted.extend(self.trees.iter().filter(|(_, tree)| is_old(tree)).map(|(root, _)| root.clone()));
    }

    /// When somebody who may run somewhere is not taken to any more.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.trees.values().filter_map(|tree| tree.empty_at).min()
    }

    /// Weighs the worktrees of which that time has come; returns the sessions whose part in them changed.
    pub(super) fn weigh_due(&mut self, now: Timestamp) -> Vec<i64> {
        let due = self.trees.values_mut().filter(|tree| tree.empty_at.is_some_and(|at| at <= now));
        let touched: Vec<i64> = due.flat_map(|tree| tree.weigh(now)).collect();
        self.changed |= !touched.is_empty();
        touched
    }

    /// A number that stands for what lies in the worktree of a session, when somebody could look.
    pub(super) fn mark_of(&self, id: i64) -> Option<i64> {
        let found = self.tree_of(id)?.found.as_ref()?;
        // 63 of its bits: two states of one worktree do not meet by accident.
        matches!(found.finding, Finding::Clean(_) | Finding::Dirty(..))
            .then(|| i64::try_from(found.mark & 0x7fff_ffff_ffff_ffff).unwrap_or(i64::MAX))
    }

    /// Whether this session is the one that is told about its worktree, and what.
    pub(super) fn risk_of(&self, id: i64) -> Risk {
        let Some(tree) = self.tree_of(id) else { return Risk::None };
        match tree.risk {
            Risk::Since(_) if tree.owner != Some(id) => Risk::None,
            risk => risk,
        }
    }

    /// What the card shows.
    pub(super) fn view_of(&self, id: i64) -> Option<GitView> {
        let root = self.of_session.get(&id)?;
        let found = self.trees.get(root)?.found.as_ref()?;
        Some(GitView {
            state: state(&found.finding),
            dirty_files: found.finding.dirty_paths(),
            root: Some(root.clone()),
            reason: match &found.finding {
                Finding::Unknown(blind) => Some(blind.sentence().to_owned()),
                Finding::Clean(_) | Finding::Dirty(..) | Finding::NotRepo | Finding::Missing => None,
            },
        })
    }

    /// What the tender is to do.
    pub(super) fn take_orders(&mut self) -> Vec<Order> {
        let mut orders = Vec::new();
        if std::mem::take(&mut self.is_other_set) {
            orders.push(Order::Follow(self.trees.keys().map(PathBuf::from).collect()));
        }
        orders.extend(std::mem::take(&mut self.wanted).into_iter().map(|root| Order::Look(root.into())));
        orders
    }

    /// The list on the screen, when it may differ.
    pub(super) fn take_changed(&mut self) -> Option<Vec<Worktree>> {
        std::mem::take(&mut self.changed).then(|| {
            self.trees
                .iter()
                .filter_map(|(root, tree)| {
                    let found = tree.found.as_ref()?;
                    matches!(found.finding, Finding::Dirty(..)).then(|| view(root, tree, found))
                })
                .collect()
        })
    }

    fn tree_of(&self, id: i64) -> Option<&Tree> {
        self.trees.get(self.of_session.get(&id)?)
    }
}

impl Tree {
    /// Whether what lies there is what a session left behind.
    fn shows_what_was_left(&self) -> bool {
        self.found.as_ref().zip(self.left).is_some_and(|(found, left)| found.mark == left.mark)
    }

    /// Works out whose work is at risk; returns the sessions for which that changed.
    fn weigh(&mut self, now: Timestamp) -> Vec<i64> {
        let agents = self.members.values().filter(|p| p.may_run(now)).count();
        let may_run_until = self.members.values().filter_map(|p| p.may_run_until(now)).max();
        self.empty_at = may_run_until.filter(|_| self.members.values().all(|p| !p.is_alive));
        // Whoever was there last is told; of several at once the one that is known longest.
        let owner = self
            .members
            .iter()
            .max_by_key(|(id, p)| (p.last_activity, std::cmp::Reverse(**id)))
            .map(|(id, p)| (*id, p.left_at));
        let (risk, owner) = match (&self.found, owner) {
            (_, None) => (Risk::None, None),
            (_, Some(_)) if agents > 0 => (Risk::None, None),
            (None, Some((id, _))) => (Risk::NotKnown, Some(id)),
            (Some(found), Some((id, left_at))) => {
                let around = Around { agents: 0, left_at, was_so_before: self.before == Some(found.mark) };
                match (&found.finding, at_risk(&found.finding, &around)) {
                    (Finding::Unknown(_), _) => (Risk::NotKnown, Some(id)),
                    (_, None) => (Risk::None, Some(id)),
                    (_, Some(since)) => {
                        let is_same =
                            |left: &Left| left.mark == found.mark && self.members.contains_key(&left.owner);
                        let before = self.left.filter(is_same);
                        let left = before.unwrap_or(Left { owner: id, since, mark: found.mark });
                        self.left = Some(left);
                        (Risk::Since(left.since), Some(left.owner))
                    }
                }
            }
        };
        if (risk, owner) == (self.risk, self.owner) {
            return Vec::new();
        }
        let changed = [self.owner, owner].into_iter().flatten().collect();
        (self.risk, self.owner) = (risk, owner);
        changed
    }
}

impl Presence {
    fn may_run(&self, now: Timestamp) -> bool {
        self.is_alive || self.may_run_until(now).is_some()
    }

    /// Until when it is taken to run, of one of which nobody knows.
    fn may_run_until(&self, now: Timestamp) -> Option<Timestamp> {
        let until = self.last_activity.filter(|_| self.is_unknown)?.plus_ms(MAY_RUN_MS);
        (now < until).then_some(until)
    }
}

fn state(finding: &Finding) -> GitState {
    match finding {
        Finding::Clean(_) => GitState::Clean,
        Finding::Dirty(..) => GitState::Dirty,
        Finding::NotRepo => GitState::NotRepo,
        Finding::Missing => GitState::Missing,
        Finding::Unknown(_) => GitState::Unknown,
    }
}

fn view(root: &str, tree: &Tree, found: &Found) -> Worktree {
    let counts = match &found.finding {
        Finding::Dirty(counts, _) => Some(*counts),
        _ => None,
    };
    let branch = found.finding.branch();
    let mut members: Vec<&Presence> = tree.members.values().collect();
    members.sort_by(|a, b| b.last_activity.cmp(&a.last_activity).then_with(|| a.key.cmp(&b.key)));
    Worktree {
        root: root.to_owned(),
        state: state(&found.finding),
        staged: counts.map(|c| c.staged),
        unstaged: counts.map(|c| c.unstaged),
        untracked: counts.map(|c| c.untracked),
        conflicted: counts.map(|c| c.conflicted),
        ahead: branch.and_then(|b| b.ahead),
        behind: branch.and_then(|b| b.behind),
        observed_at_ms: Some(found.at.0),
        is_at_risk: matches!(tree.risk, Risk::Since(_)),
        was_so_before: tree.before == Some(found.mark),
        sessions: members.iter().map(|p| p.key.clone()).collect(),
    }
}
