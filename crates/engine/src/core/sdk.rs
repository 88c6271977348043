//! Sessions of instrumented services: what their records say of when they were, and what their spans spent.
//!
//! A span that names a session spends for it. One that names none spends for the session that its trace's earliest
//! naming span does (fan-out workers often tell only their root who they belong to); where a run is declared and no
//! session at all, for the trace itself, which then stands for a session under its own id. Nothing is ever merged into a
//! session that several traces share by having nothing to say.

use lamplight_model::ids::{Agent, SessionKey, Timestamp};
use lamplight_model::sdk;
use lamplight_model::view::SpanKind;

use super::Core;
use super::telemetry::{NO_MODEL, Sum};
use crate::sources::otlp::{LoneCall, SdkSeen};
use crate::store::spans::StoredSpan;
use crate::store::{StoreError, otlp};

impl Core {
    /// Takes in when a session was, and which services named it.
    pub(super) fn apply_sdk_seen(
        &mut self,
        session: i64,
        seen: SdkSeen,
        services: &[Option<usize>],
    ) -> Result<(), StoreError> {
        for (index, (from, to)) in &seen.services {
            let at = services.get(*index).copied().flatten();
            let Some((row, name)) = at.and_then(|at| self.services.named(at)) else { continue };
            let name = name.to_owned();
            otlp::put_service_session(&self.store.db, row, session, *to)?;
            if let Some(loaded) = self.load(session)? {
                loaded.state.sdk.seen(*from, *to);
                sdk::earlier(&mut loaded.state.sdk.service, *from, name);
            }
        }
        if let Some(loaded) = self.load(session)? {
            loaded.state.sdk.wrapped_until = loaded.state.sdk.wrapped_until.max(seen.wrapped_until);
            self.touched.insert(session);
        }
        Ok(())
    }

    /// A model call that only a log record without ids tells of.
    pub(super) fn apply_lone_call(&mut self, call: LoneCall) -> Result<(), StoreError> {
        let Some(session) = self.row_of(&SessionKey { agent: Agent::Otel, id: call.session })? else {
            return Ok(());
        };
        let model = call.model.as_deref().unwrap_or(NO_MODEL);
        self.change_unwritten(session, model, |sum| sum.add(call.usage, call.cost_nano))?;
        if let Some(loaded) = self.load(session)? {
            let known = &mut loaded.state.sdk;
            known.calls = known.calls.saturating_add(1);
            known.errors = known.errors.saturating_add(u32::from(call.is_error));
            if let Some(model) = call.model {
                sdk::later(&mut known.model, call.at, model);
            }
            self.touched.insert(session);
        }
        Ok(())
    }

    /// Whether a row is a service's session, for which spans spend. Coding agents tell what theirs spent in other ways.
    pub(super) fn is_sdk(&mut self, session: i64) -> Result<bool, StoreError> {
        Ok(self.load(session)?.is_some_and(|loaded| loaded.key.agent == Agent::Otel))
    }

    /// Adds to a session what a span spent, or takes it back.
    pub(super) fn spend(
        &mut self,
        session: Option<i64>,
        span: &StoredSpan,
        is_added: bool,
    ) -> Result<(), StoreError> {
        let is_tool = span.span.kind == SpanKind::Tool;
        let Some(session) = session.filter(|_| is_tool || span.span.call.is_some()) else { return Ok(()) };
        if !self.is_sdk(session)? {
            return Ok(());
        }
        if let Some(call) = span.span.call {
            let model = span.span.model.as_deref().unwrap_or(NO_MODEL);
            self.change_unwritten(session, model, |sum| {
                if is_added {
                    sum.add(call.usage, call.cost_nano);
                } else {
                    sum.take(call.usage, call.cost_nano);
                }
            })?;
        }
        if let Some(loaded) = self.load(session)? {
            let known = &mut loaded.state.sdk;
            let change = |n: &mut u32, by: bool| {
                let by = u32::from(by);
                *n = if is_added { n.saturating_add(by) } else { n.saturating_sub(by) };
            };
            change(&mut known.calls, span.span.call.is_some());
            change(&mut known.tool_calls, is_tool);
            change(&mut known.errors, span.span.is_error == Some(true));
            if is_added && span.session.is_some() && span.span.call.is_some() {
                let at = Timestamp(span.span.last_ns().div_euclid(1_000_000));
                if let Some(model) = &span.span.model {
                    sdk::later(&mut known.model, at, model.clone());
                }
            }
            self.touched.insert(session);
        }
        Ok(())
    }
}
