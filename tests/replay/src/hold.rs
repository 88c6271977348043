//! What the core said, held against the labels. The rules are those of `../labels/README.md`.

use std::fmt::Write as _;

use lamplight_model::attention::CauseKind;
use lamplight_model::ids::{Agent, SessionId};
use lamplight_model::session::{TurnState, WaitKind};

use crate::labels::{Label, Never};
use crate::play::{Change, History};
use crate::scenario::Scenario;

/// How far a source may lag behind the screen. Claude's registry needs up to 0.6 s, Codex's rollout less.
pub const LAG_MS: i64 = 1_000;

/// Something that is not as labelled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// `agent/scenario session@seconds kind: …`, without what was said instead; the name of an exception.
    pub name: String,
    /// What was said instead.
    pub said: String,
    /// Which session.
    pub session: SessionId,
}

/// How long after its label a change of state was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delay {
    /// The labelled state; `None` where the rows allow several.
    pub state: Option<TurnState>,
    /// Delay. Where the label's moment is only the earliest possible one, this is an upper bound.
    pub ms: i64,
}

/// How a scenario came out.
#[derive(Debug, Default)]
pub struct Held {
    /// Labels by state (`None`: several allowed): right, in all.
    pub labels: Vec<(Option<TurnState>, bool)>,
    /// Delays of labelled changes that were said.
    pub delays: Vec<Delay>,
    /// Everything that is not as labelled.
    pub findings: Vec<Finding>,
    /// Labelled needs of tier 1 and 2: said, in all.
    pub needs: (u32, u32),
    /// States shown within the lag, on the way to the labelled one, that no label names.
    pub passing_states: u32,
    /// Needs raised within the lag, or in an interval no longer than it, that the label does not name. They are never
    /// told: the grace of a notification is longer.
    pub passing_needs: u32,
}

/// Holds what was said of a scenario against its labels.
#[must_use]
pub fn hold(scenario: &Scenario, history: &History) -> Held {
    hold_within(LAG_MS, scenario, history)
}

/// The same for a source that lags further behind the screen: telemetry leaves an agent only every so often.
#[must_use]
pub fn hold_within(lag_ms: i64, scenario: &Scenario, history: &History) -> Held {
    let mut held = Held::default();
    let mut before: Option<&Label> = None;
    for label in &scenario.labels.labels {
        let holder = Holder { scenario, history, label, lag_ms };
        let former = before.filter(|b| b.session == label.session);
        holder.state(former.is_none_or(|b| b.states != label.states), &mut held);
        holder.need(&mut held);
        before = Some(label);
    }
    for never in &scenario.labels.never {
        hold_never(lag_ms, scenario, history, never, &mut held);
    }
    held
}

struct Holder<'a> {
    scenario: &'a Scenario,
    history: &'a History,
    label: &'a Label,
    lag_ms: i64,
}

impl Holder<'_> {
    fn fits(&self, change: Option<&Change>) -> bool {
        // A session nobody has heard of is as unknown as one of which nobody can say anything.
        self.label.states.contains(&change.map_or(TurnState::Unknown, |c| c.state))
    }

    fn state(&self, is_change: bool, held: &mut Held) {
        let Label { session, states, at_ms, until_ms, .. } = self.label;
        let single = if let [state] = states.as_slice() { Some(*state) } else { None };
        let is_long = until_ms - at_ms > self.lag_ms;
        let later = || {
            self.history.of(session).iter().filter(|c| c.at_ms > *at_ms && c.at_ms <= until_ms + self.lag_ms)
        };
        let reached = if self.fits(self.history.at(session, *at_ms)) {
            Some(*at_ms)
        } else {
            later().find(|c| self.fits(Some(c))).map(|c| c.at_ms)
        };
        let words = states.iter().map(|s| s.as_str()).collect::<Vec<_>>().join("|");
        let right = match reached {
            None => {
                self.find(held, &format!("missed: {words}"), *at_ms, *until_ms);
                false
            }
            Some(reached_ms) if reached_ms - at_ms > self.lag_ms => {
                self.find(held, &format!("late: {words}"), *at_ms, *until_ms);
                false
            }
            Some(_) if is_long && !self.fits(self.history.at(session, *until_ms)) => {
                self.find(held, &format!("left: {words}"), *at_ms, *until_ms);
                false
            }
            Some(reached_ms) => {
                // Once the lag is over, the state must be shown without a break.
                let settled_ms = reached_ms.max(at_ms + self.lag_ms);
                let within = |c: &&Change| c.at_ms < *until_ms && !self.fits(Some(c));
                held.passing_states += count(later().filter(|c| c.at_ms > reached_ms).filter(within));
                let settled = self.history.at(session, settled_ms).filter(|_| settled_ms < *until_ms);
                let later = later().filter(|c| c.at_ms > settled_ms);
                let flickers = settled.into_iter().chain(later).any(|c| within(&c));
                if flickers {
                    self.find(held, &format!("flickers: {words}"), *at_ms, *until_ms);
                }
                !flickers
            }
        };
        held.labels.push((single, right));
        if let Some(reached_ms) = reached.filter(|_| is_change) {
            held.delays.push(Delay { state: single, ms: reached_ms - at_ms });
        }
        if right && is_long {
            self.details(held);
        }
    }

    /// The tool and the kind of need, at the end of the interval.
    fn details(&self, held: &mut Held) {
        let Label { session, at_ms, until_ms, tool, detail, .. } = self.label;
        let Some(said) = self.history.at(session, *until_ms) else { return };
        if let Some(tool) = tool
            && said.state == TurnState::AwaitingPermission
            && said.tool.as_deref() != Some(tool)
        {
            self.find(held, &format!("tool: {tool}"), *at_ms, *until_ms);
        }
        let Some(detail) = detail else { return };
        let wanted = match (said.state, detail.as_str()) {
            (TurnState::AwaitingAnswer, "question") => WaitKind::Question,
            (TurnState::AwaitingAnswer, "plan") => WaitKind::Plan,
            (TurnState::AwaitingAnswer, "elicitation") => WaitKind::Elicitation,
            (TurnState::Errored, "authentication") => WaitKind::SignIn,
            (TurnState::Errored, "rate_limit" | "billing") => WaitKind::Limit,
            (TurnState::Errored, _) => WaitKind::Error,
            _ => return,
        };
        if said.waits != Some(wanted) {
            self.find(held, &format!("detail: {detail}"), *at_ms, *until_ms);
        }
    }

    /// Whether the person is called when the labels say so, and only then.
    fn need(&self, held: &mut Held) {
        let Label { session, at_ms, until_ms, .. } = self.label;
        let is_run = is_run(self.scenario, &self.label.name);
        let allowed: Vec<u8> = self.label.states.iter().flat_map(|s| tiers(*s, is_run)).copied().collect();
        let tier = |change: Option<&Change>| {
            change.and_then(|c| c.need).map_or(0, |kind: CauseKind| u8::from(kind.tier()))
        };
        let is_wrong = |c: &&Change| tier(Some(c)) != 0 && !allowed.contains(&tier(Some(c)));
        let changes = self.history.of(session);
        let raised = changes.windows(2).filter(|pair| pair[0].need != pair[1].need).map(|pair| &pair[1]);
        let passing_end_ms = (at_ms + self.lag_ms).min(*until_ms);
        held.passing_needs +=
            count(raised.filter(|c| c.at_ms > *at_ms && c.at_ms < passing_end_ms).filter(is_wrong));
        if until_ms - at_ms <= self.lag_ms {
            return;
        }
        let at_end = tier(self.history.at(session, *until_ms));
        let must = !allowed.contains(&0);
        if must {
            held.needs.1 += 1;
        }
        if must && at_end == 0 {
            self.find(held, "need missed", *at_ms, *until_ms);
            return;
        }
        if must {
            held.needs.0 += 1;
        }
        let settled_ms = at_ms + self.lag_ms;
        let standing = self.history.at(session, settled_ms);
        let later = changes.iter().filter(|c| c.at_ms > settled_ms && c.at_ms < *until_ms);
        if standing.into_iter().chain(later).any(|c| is_wrong(&c)) {
            self.find(held, "need false", *at_ms, *until_ms);
        }
    }

    fn find(&self, held: &mut Held, what: &str, from_ms: i64, to_ms: i64) {
        held.findings.push(finding(
            self.scenario,
            self.history,
            &self.label.name,
            &self.label.session,
            what,
            from_ms,
            to_ms,
        ));
    }
}

fn count<T>(of: impl Iterator<Item = T>) -> u32 {
    u32::try_from(of.count()).unwrap_or(u32::MAX)
}

fn hold_never(lag_ms: i64, scenario: &Scenario, history: &History, never: &Never, held: &mut Held) {
    let Never { name, session, from_ms, to_ms, states } = never;
    let is_bad = |c: &Change| states.contains(&c.state);
    // Where the state stood before, the source may need its time to leave it.
    let stood = history.at(session, *from_ms).is_some_and(is_bad);
    let from_ms = if stood { from_ms + lag_ms } else { *from_ms };
    let later = history.of(session).iter().filter(|c| c.at_ms > from_ms && c.at_ms < *to_ms);
    let mut said = history.at(session, from_ms).into_iter().chain(later);
    if from_ms < *to_ms && said.any(is_bad) {
        let words = states.iter().map(|s| s.as_str()).collect::<Vec<_>>().join("|");
        held.findings.push(finding(
            scenario,
            history,
            name,
            session,
            &format!("never: {words}"),
            from_ms,
            *to_ms,
        ));
    }
}

fn finding(
    scenario: &Scenario,
    history: &History,
    name: &str,
    session: &SessionId,
    what: &str,
    from_ms: i64,
    to_ms: i64,
) -> Finding {
    let mut said = String::new();
    let standing = history.at(session, from_ms);
    let later = history.of(session).iter().filter(|c| c.at_ms > from_ms && c.at_ms <= to_ms + LAG_MS);
    for change in standing.into_iter().chain(later) {
        let need = change.need.map_or_else(String::new, |n| format!(" needs {}", n.as_str()));
        let tool = change.tool.as_deref().map_or_else(String::new, |t| format!(" for {t}"));
        // Writing to a string cannot fail.
        let _ = write!(
            said,
            "\n    {:>8} {}{need}{tool} ({})",
            seconds(change.at_ms),
            change.state.as_str(),
            change.evidence
        );
    }
    if said.is_empty() {
        said = "\n    nothing was said".to_owned();
    }
    Finding {
        name: format!("{}/{} {name}@{} {what}", scenario.agent, scenario.name, seconds(from_ms)),
        said: format!("until {}{said}", seconds(to_ms)),
        session: session.clone(),
    }
}

/// Milliseconds as seconds with three decimals.
pub(crate) fn seconds(at_ms: i64) -> String {
    format!("{}{}.{:03}", if at_ms < 0 { "-" } else { "" }, at_ms.abs() / 1000, at_ms.abs() % 1000)
}

/// Tiers a session in this state may call its person with; 0 is none.
pub(crate) fn tiers(state: TurnState, is_run: bool) -> &'static [u8] {
    match state {
        TurnState::AwaitingPermission | TurnState::AwaitingAnswer => &[1],
        // Nobody sits at a run without a person.
        _ if is_run => &[0],
        // Signing in blocks, every other error is a turn that is over.
        TurnState::Errored => &[1, 2],
        TurnState::AwaitingReply | TurnState::Interrupted => &[2],
        // A client that died before it was asked anything left nothing behind.
        TurnState::Crashed => &[0, 2],
        TurnState::Starting
        | TurnState::Working
        | TurnState::Background
        | TurnState::Ended
        | TurnState::Unknown => &[0],
    }
}

/// Whether a labelled session is a run without a person (`-p`, `exec`), by the names the labels give.
pub(crate) fn is_run(scenario: &Scenario, session: &str) -> bool {
    let numbered = |prefix: char| {
        session.strip_prefix(prefix).is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
    };
    match scenario.agent {
        Agent::ClaudeCode => numbered('p') || scenario.name.starts_with("print-"),
        Agent::Gemini => scenario.name.starts_with("exec_"),
        Agent::Otel => true,
        Agent::OpenCode => scenario.name.starts_with("run_"),
        Agent::Codex => numbered('x') || scenario.name.starts_with("exec_") || session.starts_with("exec-"),
    }
}
