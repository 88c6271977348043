//! The framing of a request: resources, their scopes, and each record as the bytes it stands in. Nothing is copied.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::Malformed;

/// Records of one request. Exporters send 512 at a time; what has more than this is an attempt on our memory.
const MAX_RECORDS: usize = 200_000;

/// Resources and scopes of one request.
const MAX_GROUPS: usize = 20_000;

/// A resource and what it sent.
#[derive(Default)]
pub(crate) struct Group<'a> {
    pub resource: &'a [u8],
    pub scopes: Vec<Scope<'a>>,
}

/// A scope and its records.
#[derive(Default)]
pub(crate) struct Scope<'a> {
    pub scope: &'a [u8],
    pub records: Vec<&'a [u8]>,
}

/// What is left of the bounds.
struct Budget {
    records: usize,
    groups: usize,
}

impl Budget {
    fn new() -> Self {
        Self { records: MAX_RECORDS, groups: MAX_GROUPS }
    }

    fn record(&mut self) -> Result<(), Malformed> {
        self.records = self.records.checked_sub(1).ok_or(Malformed::Framing("too many records"))?;
        Ok(())
    }

    fn group(&mut self) -> Result<(), Malformed> {
        self.groups = self.groups.checked_sub(1).ok_or(Malformed::Framing("too many resources or scopes"))?;
        Ok(())
    }
}

/// Walks a protobuf request. All three signals number these fields alike: 1 the resource or scope, 2 what it holds.
pub(crate) fn protobuf(body: &[u8]) -> Result<Vec<Group<'_>>, Malformed> {
    let mut budget = Budget::new();
    let mut groups = Vec::new();
    for field in Fields(body) {
        let (1, bytes) = field? else { continue };
        budget.group()?;
        let mut group = Group::default();
        for field in Fields(bytes) {
            match field? {
                (1, bytes) => group.resource = bytes,
                (2, bytes) => {
                    budget.group()?;
                    let mut scope = Scope::default();
                    for field in Fields(bytes) {
                        match field? {
                            (1, bytes) => scope.scope = bytes,
                            (2, bytes) => {
                                budget.record()?;
                                scope.records.push(bytes);
                            }
                            _ => {}
                        }
                    }
                    group.scopes.push(scope);
                }
                _ => {}
            }
        }
        groups.push(group);
    }
    Ok(groups)
}

/// The length-delimited fields of a message; the others are passed over.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, &'a [u8]), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.0.is_empty() {
            match self.field() {
                Some(Some(found)) => return Some(Ok(found)),
                Some(None) => {}
                None => {
                    self.0 = &[];
                    return Some(Err(Malformed::Framing("broken protobuf")));
                }
            }
        }
        None
    }
}

impl<'a> Fields<'a> {
    /// The next field: its number and bytes, `Some(None)` for one without bytes, `None` when it is broken.
    fn field(&mut self) -> Option<Option<(u64, &'a [u8])>> {
        let key = self.varint()?;
        let number = key >> 3;
        if number == 0 {
            return None;
        }
        match key & 7 {
            0 => self.varint().map(|_| None),
            1 => self.take(8).map(|_| None),
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                self.take(length).map(|bytes| Some((number, bytes)))
            }
            5 => self.take(4).map(|_| None),
            _ => None,
        }
    }

    fn varint(&mut self) -> Option<u64> {
        let mut n = 0u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            n |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(n);
            }
        }
        None
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }
}

#[derive(Deserialize)]
struct JsonRequest<'a> {
    #[serde(borrow, default, alias = "resourceLogs", alias = "resourceSpans", alias = "resourceMetrics")]
    groups: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
struct JsonGroup<'a> {
    #[serde(borrow, default)]
    resource: Option<&'a RawValue>,
    #[serde(borrow, default, alias = "scopeLogs", alias = "scopeSpans", alias = "scopeMetrics")]
    scopes: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
struct JsonScope<'a> {
    #[serde(borrow, default)]
    scope: Option<&'a RawValue>,
    #[serde(borrow, default, alias = "logRecords", alias = "spans", alias = "metrics")]
    records: Option<Vec<&'a RawValue>>,
}

/// Walks a JSON request.
pub(crate) fn json(body: &[u8]) -> Result<Vec<Group<'_>>, Malformed> {
    let mut budget = Budget::new();
    let mut groups = Vec::new();
    let request: JsonRequest<'_> = parse(body)?;
    for raw in request.groups.unwrap_or_default() {
        budget.group()?;
        let found: JsonGroup<'_> = parse(raw.get().as_bytes())?;
        let mut group = Group { resource: bytes(found.resource), scopes: Vec::new() };
        for raw in found.scopes.unwrap_or_default() {
            budget.group()?;
            let found: JsonScope<'_> = parse(raw.get().as_bytes())?;
            let mut scope = Scope { scope: bytes(found.scope), records: Vec::new() };
            for raw in found.records.unwrap_or_default() {
                budget.record()?;
                scope.records.push(raw.get().as_bytes());
            }
            group.scopes.push(scope);
        }
        groups.push(group);
    }
    Ok(groups)
}

fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Malformed> {
    serde_json::from_slice(body)
        .map_err(|error| Malformed::Json { line: error.line(), column: error.column() })
}

fn bytes(raw: Option<&RawValue>) -> &[u8] {
    raw.map(|raw| raw.get().as_bytes()).filter(|bytes| *bytes != b"null").unwrap_or_default()
}
