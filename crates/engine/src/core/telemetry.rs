//! Applying telemetry: services are counted, requests of coding agents are joined to their responses, and what the user
//! declared about a session is resolved. Nothing here raises or clears a cause, or says that a session lives.

use lamplight_model::event::Usage;
use lamplight_model::ids::{Agent, FactId, SessionId, SessionKey, Timestamp};
use lamplight_model::telemetry::{Attempt, Meter, Reported, Telemetry, Unwritten, Word};

use super::Core;
use crate::otlp::Tally;
use crate::sources::otlp::{Batch, Called, Fact, Failed, Heard, Metered, Requested, SessionSeen};
use crate::store::calls::{Claimed, StoredCall};
use crate::store::otlp::{OwnedCall, Put, StoredRequest};
use crate::store::{StoreError, calls, otlp, rows};

/// Model of a request that names none.
pub(super) const NO_MODEL: &str = "unknown";

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
            self.resolve_declared(agent, session, seen, &services)?;
        }
        self.apply_spans(&batch.senders, &services, batch.spans, received)?;
        let mut tally = Tally::default();
        for fact in batch.facts {
            match fact {
                Fact::Measured(m) => {
                    let Some(at) = services.get(m.service).copied().flatten() else { continue };
                    let call = m.lone_call();
                    let is_counted =
                        self.services.count(&self.store.db, at, m, &self.prices, received, &mut tally)?;
                    if let Some(call) = call.filter(|_| is_counted) {
                        self.apply_lone_call(call)?;
                    }
                }
                Fact::Requested(request) => self.apply_requested(&request)?,
                Fact::Failed(failed) => {
                    if otlp::first_sight(&self.store.db, failed.id, received)? {
                        self.apply_failed(&failed)?;
                    }
                }
                Fact::Called(called) => self.apply_called(&called)?,
                Fact::Waited(waited) => {
                    let key = SessionKey { agent: waited.agent, id: waited.session };
                    let Some(id) = self.row_of(&key)? else { continue };
                    if let Some(loaded) = self.load(id)? {
                        loaded.state.telemetry.told.wait(waited.span, waited.ms);
                        self.touched.insert(id);
                    }
                }
                Fact::Heard(heard) => self.apply_heard(*heard, received)?,
                Fact::Metered(metered) => self.apply_metered(metered, received)?,
            }
        }
        self.services.write(&self.store.db, tally)
    }

    /// Takes over what the user declared about a session, whenever it arrives; what is absent leaves what was known.
    fn resolve_declared(
        &mut self,
        agent: Agent,
        session: SessionId,
        mut seen: SessionSeen,
        services: &[Option<usize>],
    ) -> Result<(), StoreError> {
        let sdk = seen.sdk.take().map(|mut sdk| {
            // What a service beyond the number that is kept says is not counted.
            sdk.services.retain(|at, _| services.get(*at).copied().flatten().is_some());
            sdk
        });
        if sdk.as_ref().is_some_and(|sdk| sdk.services.is_empty()) || (sdk.is_none() && seen.is_empty()) {
            return Ok(());
        }
        let Some(id) = self.row_of(&SessionKey { agent, id: session })? else { return Ok(()) };
        let Some(loaded) = self.load(id)? else { return Ok(()) };
        let telemetry = &mut loaded.state.telemetry;
        let before = (
            telemetry.namespace.as_ref().map(|d| d.value.clone()),
            telemetry.instance.as_ref().map(|d| d.value.clone()),
            telemetry.run.as_ref().map(|d| d.value.clone()),
            telemetry.parent.as_ref().map(|d| d.value.clone()),
        );
        Telemetry::resolve(&mut telemetry.namespace, seen.namespace, true);
        Telemetry::resolve(&mut telemetry.instance, seen.instance, true);
        Telemetry::resolve(&mut telemetry.run, seen.run, false);
        Telemetry::resolve(&mut telemetry.parent, seen.parent, false);
        let after = (
            telemetry.namespace.as_ref().map(|d| d.value.clone()),
            telemetry.instance.as_ref().map(|d| d.value.clone()),
            telemetry.run.as_ref().map(|d| d.value.clone()),
            telemetry.parent.as_ref().map(|d| d.value.clone()),
        );
        if before != after {
            self.touched.insert(id);
        }
        match sdk {
            Some(sdk) => self.apply_sdk_seen(id, sdk, services),
            None => Ok(()),
        }
    }

    fn apply_requested(&mut self, r: &Requested) -> Result<(), StoreError> {
        let Some(session) = self.row_of(&SessionKey { agent: r.agent, id: r.session.clone() })? else {
            return Ok(());
        };
        let name = r.model.as_deref().unwrap_or(NO_MODEL);
        let model = calls::model_row(&self.store.db, name)?;
        let put = otlp::put_request(&self.store.db, r, session, model)?;
        if r.by_log
            && let Some(loaded) = self.load(session)?
        {
            loaded.state.telemetry.told.has_requests = true;
            self.touched.insert(session);
        }
        match put {
            Put::Known => return Ok(()),
            Put::Priced(before) => return self.price_request(r, name, before),
            Put::New => {}
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

    /// The log record of a request that a span told of before: its cost, and its usage by the record.
    fn price_request(&mut self, r: &Requested, model: &str, before: StoredRequest) -> Result<(), StoreError> {
        match before.call {
            Some(call) => match otlp::owned_call(&self.store.db, call)? {
                Some(owned) => self.add_reported(&owned, r.cost_nano),
                None => Ok(()),
            },
            None => {
                let StoredRequest { session, model: former, usage, cost_nano, .. } = before;
                self.change_unwritten(session, &former, |sum| sum.take(usage, cost_nano))?;
                self.change_unwritten(session, model, |sum| sum.add(r.usage, r.cost_nano))
            }
        }
    }

    fn apply_called(&mut self, c: &Called) -> Result<(), StoreError> {
        let Some(id) = self.row_of(&SessionKey { agent: c.agent, id: c.session.clone() })? else {
            return Ok(());
        };
        let is_new = otlp::put_called(&self.store.db, c, id)?;
        let Some(loaded) = self.load(id)? else { return Ok(()) };
        let told = &mut loaded.state.telemetry.told;
        told.tool_calls = told.tool_calls.saturating_add(u32::from(is_new));
        let waited = c.span.and_then(|span| told.waits.remove(&span));
        self.touched.insert(id);
        if let Some(ms) = waited {
            otlp::set_waited(&self.store.db, c.key, ms)?;
        }
        Ok(())
    }

    fn apply_heard(&mut self, heard: Heard, received: Timestamp) -> Result<(), StoreError> {
        let Heard { agent, session, subagent, id: record, at, word } = heard;
        let key = SessionKey { agent, id: session };
        if !word.is_work() && !self.by_key.contains_key(&key) && rows::find(&self.store.db, &key)?.is_none() {
            // A client that was opened and left: no session of anyone.
            return Ok(());
        }
        // Every other word says the same when it is heard twice.
        if word == Word::Compacted && !otlp::first_sight(&self.store.db, record, received)? {
            return Ok(());
        }
        let Some(id) = self.row_of(&key)? else { return Ok(()) };
        if let Some(loaded) = self.load(id)? {
            loaded.state.telemetry.told.hear(at, subagent.as_deref(), word);
            self.touched.insert(id);
        }
        Ok(())
    }

    fn apply_metered(&mut self, m: Metered, received: Timestamp) -> Result<(), StoreError> {
        let key = SessionKey { agent: Agent::ClaudeCode, id: m.session };
        // What a client measures of itself before anything was asked makes no session.
        let is_known = self.by_key.contains_key(&key) || rows::find(&self.store.db, &key)?.is_some();
        if !is_known && !matches!(m.meter, Meter::Tokens { .. } | Meter::Cost { .. }) {
            return Ok(());
        }
        if !m.is_cumulative && !otlp::first_sight(&self.store.db, m.id, received)? {
            return Ok(());
        }
        let Some(id) = self.row_of(&key)? else { return Ok(()) };
        if let Some(loaded) = self.load(id)? {
            let telemetry = &mut loaded.state.telemetry;
            telemetry.last_at = telemetry.last_at.max(Some(m.at));
            let meters = &mut telemetry.meters;
            if m.is_cumulative {
                meters.set(m.id.hash, m.meter, m.amount);
            } else {
                meters.add(m.meter, m.amount);
            }
            self.touched.insert(id);
        }
        Ok(())
    }

    fn apply_failed(&mut self, f: &Failed) -> Result<(), StoreError> {
        let Some(id) = self.row_of(&SessionKey { agent: f.agent, id: f.session.clone() })? else {
            return Ok(());
        };
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

    pub(super) fn change_unwritten(
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

pub(super) trait Sum {
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
