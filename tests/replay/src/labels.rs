//! Labelled truth, as `../labels/README.md` describes it.

use std::collections::BTreeMap;

use anyhow::Context as _;
use lamplight_model::ids::{Agent, SessionId};
use lamplight_model::session::TurnState;
use serde::Deserialize;

use crate::scenario::{ms, tests_dir};

/// The labels of a scenario.
#[derive(Debug, Clone, Default)]
pub struct Labels {
    /// Terminal or run to session id.
    pub sessions: BTreeMap<String, SessionId>,
    /// In order of time.
    pub labels: Vec<Label>,
    /// What must not be shown.
    pub never: Vec<Never>,
    /// Last moment of the timeline.
    pub end_ms: i64,
}

/// What a session was doing from a moment on.
#[derive(Debug, Clone)]
pub struct Label {
    /// Terminal or run.
    pub name: String,
    /// Session id.
    pub session: SessionId,
    /// States the rows allow; one, where they prove one.
    pub states: Vec<TurnState>,
    /// From when it certainly held, or could have begun.
    pub at_ms: i64,
    /// Since when it certainly held, where the row that proves it is a later one.
    pub by_ms: i64,
    /// Until when it certainly held: `until`, else the next label of that session, else the end.
    pub until_ms: i64,
    /// The tool that asks.
    pub tool: Option<String>,
    /// Kind of answer or error.
    pub detail: Option<String>,
}

/// States a session must not show for a time.
#[derive(Debug, Clone)]
pub struct Never {
    /// Terminal or run.
    pub name: String,
    /// Session id.
    pub session: SessionId,
    /// From.
    pub from_ms: i64,
    /// To.
    pub to_ms: i64,
    /// Which.
    pub states: Vec<TurnState>,
}

#[derive(Deserialize)]
struct RawLabels {
    sessions: BTreeMap<String, SessionId>,
    labels: Vec<RawLabel>,
    #[serde(default)]
    never: Vec<RawNever>,
    end_at: f64,
}

#[derive(Deserialize)]
struct RawLabel {
    at: f64,
    session: String,
    state: Option<TurnState>,
    #[serde(default)]
    any_of: Vec<TurnState>,
    by: Option<f64>,
    until: Option<f64>,
    tool: Option<String>,
    detail: Option<String>,
}

#[derive(Deserialize)]
struct RawNever {
    session: String,
    from: f64,
    to: f64,
    states: Vec<TurnState>,
}

impl Labels {
    /// Loads the labels of a scenario.
    ///
    /// # Errors
    /// When the file is missing, is no label file, or names a session it does not list.
    pub fn load(agent: Agent, scenario: &str) -> anyhow::Result<Self> {
        let path = tests_dir().join("labels").join(agent.as_str()).join(format!("{scenario}.json"));
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("while reading {}", path.display()))?;
        let raw: RawLabels =
            serde_json::from_str(&text).with_context(|| format!("while reading {}", path.display()))?;
        let id_of = |name: &str| {
            raw.sessions.get(name).cloned().with_context(|| format!("no session {name} in {scenario}"))
        };
        let end_ms = ms(raw.end_at);
        let mut labels = Vec::new();
        for label in &raw.labels {
            let session = id_of(&label.session)?;
            labels.push(Label {
                name: label.session.clone(),
                session,
                states: label.state.into_iter().chain(label.any_of.iter().copied()).collect(),
                at_ms: ms(label.at),
                by_ms: ms(label.by.unwrap_or(label.at)),
                until_ms: label.until.map_or(i64::MIN, ms),
                tool: label.tool.clone(),
                detail: label.detail.clone(),
            });
        }
        for at in 0..labels.len() {
            let next =
                labels[at + 1..].iter().find(|l| l.session == labels[at].session).map_or(end_ms, |l| l.at_ms);
            if labels[at].until_ms == i64::MIN {
                labels[at].until_ms = next;
            }
        }
        let never = raw
            .never
            .iter()
            .map(|n| {
                Ok(Never {
                    name: n.session.clone(),
                    session: id_of(&n.session)?,
                    from_ms: ms(n.from),
                    to_ms: ms(n.to),
                    states: n.states.clone(),
                })
            })
            .collect::<anyhow::Result<_>>()?;
        Ok(Self { sessions: raw.sessions, labels, never, end_ms })
    }
}
