//! Applying telemetry: services are counted, requests of coding agents are joined to their responses, and what the user
//! declared about a session is resolved. Nothing here raises or clears a cause, or says that a session lives.

use lamplight_model::event::Usage;
use lamplight_model::ids::{Agent, FactId, SessionId, SessionKey};
use lamplight_model::telemetry::{Attempt, Reported, Telemetry, Unwritten};

use super::Core;
use crate::otlp::Tally;
use crate::sources::otlp::{Batch, Fact, Failed, Requested, SessionSeen};
use crate::store::calls::{Claimed, StoredCall};
use crate::store::otlp::{OwnedCall, StoredRequest};
use crate::store::{StoreError, calls, otlp};

/// Model of a request that names none.
const NO_MODEL: &str = "unknown";

impl Core {
    pub(super) fn apply_telemetry(&mut self, batch: Batch) -> Result<(), StoreError> {
        let received = batch.received_at;
        otlp::prune_marks(&self.store.db, received)?;
        let mut services = Vec::with_capacity(batch.services.len());
        let mut refused_services = 0;
        for seen in &batch.services {
            // A metric without points says nothing about when its service was there.
            if seen.last < seen.first {
                services.push(None);
                continue;
            }
            let at = self.services.seen(&self.store.db, seen)?;
            refused_services += u64::from(at.is_none());
            services.push(at);
        }
        self.reports.telemetry(batch.bytes, batch.partial.rejected, refused_services, received);
        for ((agent, session), seen) in batch.sessions {
            self.resolve_declared(agent, session, seen)?;
        }
        self.apply_spans(&batch.senders, &services, batch.spans, received)?;
        let mut tally = Tally::default();
        for fact in batch.facts {
            match fact {
                Fact::Measured(m) => {
                    let Some(at) = services.get(m.service).copied().flatten() else { continue };
                    self.services.count(&self.store.db, at, m, &self.prices, received, &mut tally)?;
                }
                Fact::Requested(request) => self.apply_requested(&request)?,
                Fact::Failed(failed) => {
                    if otlp::first_sight(&self.store.db, failed.id, received)? {
                        self.apply_failed(&failed)?;
                    }
                }
            }
        }
        self.services.write(&self.store.db, tally)
    }

    /// Takes over what the user declared about a session, whenever it arrives; what is absent leaves what was known.
    fn resolve_declared(
        &mut self,
        agent: Agent,
        session: SessionId,
        seen: SessionSeen,
    ) -> Result<(), StoreError> {
        if seen.is_empty() {
            return Ok(());
        }
        let id = self.row_of(&SessionKey { agent, id: session })?;
        let Some(loaded) = self.load(id)? else { return Ok(()) };
        let telemetry = &mut loaded.state.telemetry;
        let before = (
            telemetry.namespace.as_ref().map(|d| d.value.clone()),
            telemetry.instance.as_ref().map(|d| d.value.clone()),
            telemetry.run.as_ref().map(|d| d.value.clone()),
            telemetry.parent.as_ref().map(|d| d.value.clone()),
        );
        let at = seen.at;
        Telemetry::resolve(&mut telemetry.namespace, seen.namespace, at, true);
        Telemetry::resolve(&mut telemetry.instance, seen.instance, at, true);
        Telemetry::resolve(&mut telemetry.run, seen.run, at, false);
        Telemetry::resolve(&mut telemetry.parent, seen.parent, at, false);
        let after = (
            telemetry.namespace.as_ref().map(|d| d.value.clone()),
            telemetry.instance.as_ref().map(|d| d.value.clone()),
            telemetry.run.as_ref().map(|d| d.value.clone()),
            telemetry.parent.as_ref().map(|d| d.value.clone()),
        );
        if before != after {
            self.touched.insert(id);
        }
        Ok(())
    }

    fn apply_requested(&mut self, r: &Requested) -> Result<(), StoreError> {
        let session = self.row_of(&SessionKey { agent: Agent::ClaudeCode, id: r.session.clone() })?;
        let name = r.model.as_deref().unwrap_or(NO_MODEL);
        let model = calls::model_row(&self.store.db, name)?;
        if !otlp::put_request(&self.store.db, r, session, model)? {
            return Ok(());
        }
        let linked = match otlp::linked(&self.store.db, r.request)? {
            Some(call) => otlp::owned_call(&self.store.db, call)?.map(|owned| (call, owned)),
            None => None,
        };
        match linked {
            Some((call, owned)) => {
                otlp::join(&self.store.db, r.request, call)?;
                self.add_reported(&owned, r.cost_nano)?;
            }
            None => self.change_unwritten(session, name, |sum| sum.add(r.usage, r.cost_nano))?,
        }
        if let Some(loaded) = self.load(session)? {
            loaded.state.telemetry.last_at = loaded.state.telemetry.last_at.max(Some(r.at));
            self.touched.insert(session);
        }
        Ok(())
    }

    fn apply_failed(&mut self, f: &Failed) -> Result<(), StoreError> {
        let id = self.row_of(&SessionKey { agent: Agent::ClaudeCode, id: f.session.clone() })?;
        let Some(loaded) = self.load(id)? else { return Ok(()) };
        let telemetry = &mut loaded.state.telemetry;
        // The end of the retries is told beside the last attempt, and is none itself.
        telemetry.failures = telemetry.failures.saturating_add(u32::from(!f.exhausted));
        let attempt = Attempt { at: f.at, status: f.status, attempt: f.attempt, exhausted: f.exhausted };
        let key = |a: &Attempt| (a.at, a.exhausted);
        if telemetry.last_failure.as_ref().is_none_or(|known| key(known) <= key(&attempt)) {
            telemetry.last_failure = Some(attempt);
        }
        telemetry.last_at = telemetry.last_at.max(Some(f.at));
        self.touched.insert(id);
        Ok(())
    }

    /// A response of a transcript was claimed: joins it to what telemetry said of its request, in whichever order the two
    /// arrive, and follows its owner and its usage from then on.
    pub(super) fn settle_reported(
        &mut self,
        request: FactId,
        key: FactId,
        claimed: &Claimed<StoredCall>,
    ) -> Result<(), StoreError> {
        otlp::link(&self.store.db, request, key)?;
        let Some(found) = otlp::request(&self.store.db, request)? else { return Ok(()) };
        let Some(after) = otlp::owned_call(&self.store.db, key)? else { return Ok(()) };
        let StoredRequest { session, model, usage, cost_nano, call } = found;
        match call {
            None => {
                otlp::join(&self.store.db, request, key)?;
                self.change_unwritten(session, &model, |sum| sum.take(usage, cost_nano))?;
                self.add_reported(&after, cost_nano)?;
            }
            Some(joined) if joined == key => {
                let (owner, before) = match claimed {
                    Claimed::New => return Ok(()),
                    Claimed::Kept { owner, before } => (*owner, *before),
                    Claimed::Moved { from, before } => (*from, *before),
                };
                if owner != after.owner || before.usage != after.usage {
                    let model = calls::model_name(&self.store.db, before.model)?;
                    self.take_reported(&OwnedCall { owner, model, usage: before.usage }, cost_nano)?;
                    self.add_reported(&after, cost_nano)?;
                }
            }
            Some(_) => {}
        }
        Ok(())
    }

    fn add_reported(&mut self, call: &OwnedCall, cost_nano: Option<u64>) -> Result<(), StoreError> {
        let Some(cost) = cost_nano else { return Ok(()) };
        if let Some(loaded) = self.load(call.owner)? {
            let sum: &mut Reported = loaded.state.telemetry.reported.entry(call.model.clone()).or_default();
            sum.responses = sum.responses.saturating_add(1);
            sum.usage = sum.usage.plus(call.usage);
            sum.cost_nano = sum.cost_nano.saturating_add(cost);
            self.touched.insert(call.owner);
        }
        Ok(())
    }

    fn take_reported(&mut self, call: &OwnedCall, cost_nano: Option<u64>) -> Result<(), StoreError> {
        let Some(cost) = cost_nano else { return Ok(()) };
        if let Some(loaded) = self.load(call.owner)? {
            let reported = &mut loaded.state.telemetry.reported;
            let sum = reported.entry(call.model.clone()).or_default();
            sum.responses = sum.responses.saturating_sub(1);
            sum.usage = sum.usage.without(call.usage);
            sum.cost_nano = sum.cost_nano.saturating_sub(cost);
            if sum.responses == 0 {
                reported.remove(&call.model);
            }
            self.touched.insert(call.owner);
        }
        Ok(())
    }

    fn change_unwritten(
        &mut self,
        session: i64,
        model: &str,
        change: impl FnOnce(&mut Unwritten),
    ) -> Result<(), StoreError> {
        if let Some(loaded) = self.load(session)? {
            let unwritten = &mut loaded.state.telemetry.unwritten;
            let sum = unwritten.entry(model.to_owned()).or_default();
            change(sum);
            if sum.responses == 0 {
                unwritten.remove(model);
            }
            self.touched.insert(session);
        }
        Ok(())
    }
}

trait Sum {
    fn add(&mut self, usage: Usage, cost_nano: Option<u64>);
    fn take(&mut self, usage: Usage, cost_nano: Option<u64>);
}

impl Sum for Unwritten {
    fn add(&mut self, usage: Usage, cost_nano: Option<u64>) {
        self.responses = self.responses.saturating_add(1);
        self.usage = self.usage.plus(usage);
        match cost_nano {
            Some(cost) => {
                self.cost_nano = self.cost_nano.saturating_add(cost);
                self.priced = self.priced.saturating_add(1);
            }
            None => self.unpriced = self.unpriced.plus(usage),
        }
    }

    fn take(&mut self, usage: Usage, cost_nano: Option<u64>) {
        self.responses = self.responses.saturating_sub(1);
        self.usage = self.usage.without(usage);
        match cost_nano {
            Some(cost) => {
                self.cost_nano = self.cost_nano.saturating_sub(cost);
                self.priced = self.priced.saturating_sub(1);
            }
            None => self.unpriced = self.unpriced.without(usage),
        }
    }
}
