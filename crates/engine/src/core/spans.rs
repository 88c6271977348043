//! Storing spans: copies are joined, sums of traces and operations change by what each span adds.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use lamplight_model::ids::{Timestamp, TraceId};
use lamplight_model::trace::Span;
use lamplight_model::view::{ServiceDetail, Trace, TracePage};

use super::Core;
use crate::archive;
use crate::errors::EngineError;
use crate::otlp::nano;
use crate::otlp::traces::{self, TraceFilter};
use crate::sources::otlp::{Named, Sender, SpanSeen};
use crate::store::StoreError;
use crate::store::spans::operations::{self, OperationKey, OperationSums};
use crate::store::spans::{self, Owner, StoredSpan, TraceRow, lists};

/// Spans kept of one trace. A program that never ends its trace would otherwise make one that nobody can look at.
const MOST_SPANS: u64 = 100_000;

/// Senders told apart. Services are bounded on their own; what a coding agent's user writes as its namespace is not.
const MOST_SENDERS: u64 = 2_000;

/// The traces of one request.
struct Open {
    traces: HashMap<TraceId, OpenTrace>,
    operations: BTreeMap<OperationKey, OperationSums>,
    /// Spans beyond [`MOST_SPANS`].
    refused: u64,
    received_ns: i64,
}

struct OpenTrace {
    row: TraceRow,
    before: Option<TraceRow>,
    senders: BTreeSet<i64>,
    sessions: BTreeSet<i64>,
}

impl Core {
    /// Stores the spans of a request.
    pub(super) fn apply_spans(
        &mut self,
        senders: &[Sender],
        services: &[Option<usize>],
        seen: Vec<SpanSeen>,
        received: Timestamp,
    ) -> Result<(), StoreError> {
        if seen.is_empty() {
            return Ok(());
        }
        let received_ns = received.0.saturating_mul(1_000_000);
        let mut open = Open { traces: HashMap::new(), operations: BTreeMap::new(), refused: 0, received_ns };
        let mut rows: Vec<Option<i64>> = vec![None; senders.len()];
        for one in seen {
            let Some(sender) = senders.get(one.sender) else { continue };
            let is_service = sender.service.is_some();
            // A service beyond the number that is kept keeps no spans either.
            if is_service && sender.service.and_then(|at| services.get(at).copied().flatten()).is_none() {
                continue;
            }
            let row = match rows.get(one.sender).copied().flatten() {
                Some(row) => row,
                None => {
                    let row = self.sender_row(sender)?;
                    if let Some(slot) = rows.get_mut(one.sender) {
                        *slot = Some(row);
                    }
                    row
                }
            };
            self.apply_span(one, row, is_service, &mut open)?;
        }
        self.close_traces(open, received)
    }

    /// A page of traces, for replay and tests; see [`crate::Engine::traces`].
    ///
    /// # Errors
    /// When the store fails.
    pub fn traces(&self, filter: TraceFilter<'_>, limit: u32) -> Result<TracePage, EngineError> {
        let session = match filter.session {
            Some(id) => match archive::find(&self.store.db, id)? {
                Ok(key) => crate::store::rows::find(&self.store.db, &key)?,
                Err(_) => return Err(EngineError::NotFound(format!("session {id}"))),
            },
            None => None,
        };
        let service = filter.service.map(|name| (name, filter.namespace));
        traces::page(&self.store.db, service, session, None, limit)
    }

    /// One trace in full, for replay and tests.
    ///
    /// # Errors
    /// When the store fails.
    pub fn trace(&self, id: TraceId) -> Result<Option<Trace>, EngineError> {
        traces::trace(&self.store.db, id)
    }

    /// One service in full, for replay and tests.
    ///
    /// # Errors
    /// When the store fails.
    pub fn service(
        &self,
        name: &str,
        namespace: Option<&str>,
        now: Timestamp,
    ) -> Result<Option<ServiceDetail>, EngineError> {
        let mut cards = archive::Cards::new(&self.store.db, &self.config, &self.board, now);
        crate::otlp::detail::page(&self.store.db, &mut cards, (name, namespace), now)
    }

    fn sender_row(&self, sender: &Sender) -> Result<i64, StoreError> {
        let db = &self.store.db;
        let is_full = sender.service.is_none() && spans::senders(db)? >= MOST_SENDERS;
        let namespace = if is_full { "" } else { &sender.namespace };
        spans::sender_row(db, &sender.name, namespace, sender.service.is_some())
    }

    fn apply_span(
        &mut self,
        seen: SpanSeen,
        sender: i64,
        is_service: bool,
        open: &mut Open,
    ) -> Result<(), StoreError> {
        let (session, run_session) = match &seen.session {
            Named::Session(key) | Named::Trace(key) if self.forgotten.has(key) => return Ok(()),
            Named::Session(key) => (self.row_of(key)?, None),
            Named::Trace(key) => (None, self.row_of(key)?),
            Named::Nobody => (None, None),
        };
        let table_nano = self.table_nano(&seen.span);
        let (begin_ns, last_ns) = (seen.span.start_ns, seen.span.last_ns());
        let mut now = StoredSpan { id: seen.id, sender, session, span: seen.span, table_nano };
        let trace = open.trace(&self.store.db, seen.trace, &now)?;
        let row = trace.row.row;
        let before = if trace.row.spans < MOST_SPANS {
            if spans::insert(&self.store.db, row, &now, seen.attributes.as_deref())? {
                None
            } else {
                spans::get(&self.store.db, row, seen.id)?
            }
        } else {
            let known = spans::get(&self.store.db, row, seen.id)?;
            if known.is_none() {
                open.refused += 1;
                return Ok(());
            }
            known
        };
        // Of every copy: a log record may speak of a moment after the end of its span.
        trace.row.start_ns = trace.row.start_ns.min(begin_ns);
        trace.row.end_ns = trace.row.end_ns.max(last_ns);
        let former_owner = trace.row.spender();
        trace.row.run_session = trace.row.run_session.or(run_session);
        if let Some(before) = &before {
            now.span.attributes = seen.attributes.as_deref().map(spans::read_attributes).unwrap_or_default();
            now.span = before.span.clone().join(now.span);
            now.sender = before.sender;
            now.session = before.session.or(now.session);
            now.table_nano = self.table_nano(&now.span);
            if now != *before {
                let attributes = serde_json::to_string(&now.span.attributes)?;
                let attributes = (!now.span.attributes.is_empty()).then_some(attributes.as_str());
                spans::update(&self.store.db, row, &now, attributes)?;
            }
        }
        trace.senders.insert(now.sender);
        trace.sessions.extend(now.session.or(run_session));
        if before.as_ref() != Some(&now) {
            trace.row.take_in(&self.store.db, before.as_ref(), &now)?;
        }
        let owner = trace.row.spender();
        if is_service && before.as_ref() != Some(&now) {
            for (span, times) in [(before.as_ref(), -1), (Some(&now), 1)] {
                if let Some((key, span)) = span.and_then(|s| Some((operations::key(s)?, s))) {
                    open.operations.entry(key).or_default().count(span, times);
                }
            }
        }
        if is_service && (before.as_ref() != Some(&now) || former_owner != owner) {
            if let Some(before) = &before {
                self.spend(before.session.or(former_owner), before, false)?;
            }
            self.spend(now.session.or(owner), &now, true)?;
        }
        if former_owner != owner {
            // What others of the trace spent without a session is another's from here on.
            for other in spans::unclaimed(&self.store.db, row)? {
                if other.id != now.id {
                    self.spend(former_owner, &other, false)?;
                    self.spend(owner, &other, true)?;
                }
            }
        }
        Ok(())
    }

    /// Cost of a call by the price table, where none was reported.
    fn table_nano(&self, span: &Span) -> Option<u64> {
        let call = span.call.filter(|call| call.cost_nano.is_none() && !call.usage.is_zero())?;
        let at = Timestamp(span.start_ns / 1_000_000);
        nano(self.prices.cost_usd(span.model.as_deref()?, at, &call.usage)?)
    }

    fn close_traces(&mut self, open: Open, received: Timestamp) -> Result<(), StoreError> {
        let db = &self.store.db;
        for (_, mut trace) in open.traces {
            trace.row.listed_ns = trace.row.listed_ns.min(trace.row.start_ns);
            let row = trace.row.row;
            if let Some(before) = &trace.before {
                if before.listed_ns != trace.row.listed_ns {
                    lists::relist(db, row, trace.row.listed_ns)?;
                }
                let (senders, sessions) = lists::members(db, row)?;
                trace.senders.retain(|s| !senders.contains(s));
                trace.sessions.retain(|s| !sessions.contains(s));
            }
            for sender in trace.senders {
                lists::add_sender(db, sender, row, trace.row.listed_ns)?;
            }
            for session in trace.sessions {
                lists::add_session(db, session, row, trace.row.listed_ns)?;
            }
            if trace.before.as_ref() != Some(&trace.row) {
                spans::save_trace(db, &trace.row)?;
            }
        }
        for (key, sums) in &open.operations {
            operations::add(db, key, sums)?;
        }
        self.reports.long_trace(open.refused, received);
        Ok(())
    }
}

impl Open {
    fn trace(
        &mut self,
        db: &rusqlite::Connection,
        id: TraceId,
        first: &StoredSpan,
    ) -> Result<&mut OpenTrace, StoreError> {
        use std::collections::hash_map::Entry;
        match self.traces.entry(id) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(place) => {
                let before = spans::trace(db, id)?;
                let row = match &before {
                    Some(row) => row.clone(),
                    None => spans::open_trace(db, id, first, first.span.start_ns.min(self.received_ns))?,
                };
                Ok(place.insert(OpenTrace {
                    row,
                    before,
                    senders: BTreeSet::new(),
                    sessions: BTreeSet::new(),
                }))
            }
        }
    }
}

impl TraceRow {
    /// Whose what its spans without a session spent is.
    fn spender(&self) -> Option<i64> {
        self.owner.map(|owner| owner.session).or(self.run_session)
    }

    /// Takes in a span that was stored, in the place of what was known of it before.
    fn take_in(
        &mut self,
        db: &rusqlite::Connection,
        before: Option<&StoredSpan>,
        now: &StoredSpan,
    ) -> Result<(), StoreError> {
        self.spans += u64::from(before.is_none());
        let taken = before.map(StoredSpan::adds).unwrap_or_default();
        self.adds = self.adds.without(taken).plus(now.adds());
        let head = now.head();
        let was_head = before.is_some_and(|b| b.head() == self.head);
        // What spoke for the trace has turned out to be somebody's child.
        self.head = if was_head && head > self.head {
            spans::find_head(db, self.row)?.unwrap_or(head)
        } else {
            self.head.min(head)
        };
        if now.span.call.is_some() {
            let former = before.filter(|b| b.span.call.is_some()).and_then(|b| b.span.model.as_ref());
            if former.is_some_and(|former| Some(former) != now.span.model.as_ref()) {
                self.models = spans::find_models(db, self.row)?;
            } else if let Some(model) = &now.span.model {
                self.name_model(model.clone());
            }
        }
        self.take_in_owner(db, before, now)
    }

    fn take_in_owner(
        &mut self,
        db: &rusqlite::Connection,
        before: Option<&StoredSpan>,
        now: &StoredSpan,
    ) -> Result<(), StoreError> {
        let Some(session) = now.session else { return Ok(()) };
        let found = Owner { start_ns: now.span.start_ns, span: now.id, session };
        let moved = before.is_some_and(|b| {
            self.owner.is_some_and(|o| o.span == b.id && (o.start_ns, o.session) != (found.start_ns, session))
        });
        self.owner = match self.owner {
            Some(_) if moved => spans::find_owner(db, self.row)?,
            Some(owner) => Some(owner.min(found)),
            None => Some(found),
        };
        Ok(())
    }
}
