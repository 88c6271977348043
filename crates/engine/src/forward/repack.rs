//! A received request made ready to be passed on: record by record, without content unless that is wanted, as protobuf,
//! in parts that every Collector takes.

use prost::Message;
use serde::Deserialize;

use super::content::Writer;
use super::strip::Strip;
use super::wire::{LogRecord, Metric, Resource, Scope, Span};
use crate::sources::otlp::classify::{self, Origin};
use crate::sources::otlp::walk::{self, Group};
use crate::sources::otlp::{Encoding, MAX_RECORD_BYTES, Signal};

/// Records put into one part, in bytes. With the largest record, resource and scope it stays under 4 MiB, the largest
/// message a Collector takes over gRPC unless told otherwise.
const PART_BYTES: usize = 1024 * 1024;

/// Largest resource or scope that is passed on; of a larger one its records go on without.
const MAX_AROUND_BYTES: usize = 256 * 1024;

/// A request to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    /// `Export…ServiceRequest` in protobuf.
    pub body: Vec<u8>,
    /// Records in it; of metrics, metrics.
    pub records: u32,
}

/// Makes the parts of a request that was accepted. Records that cannot be read are left out: they were refused when the
/// request was taken in.
pub(super) fn repack(signal: Signal, encoding: Encoding, body: &[u8], content: bool) -> Vec<Part> {
    let walked = match encoding {
        Encoding::Protobuf => walk::protobuf(body),
        Encoding::Json => walk::json(body),
    };
    let mut packer =
        Packer { encoding, content, done: Vec::new(), request: Vec::new(), records: 0, packed: 0 };
    // A request without a frame was refused as a whole.
    for group in walked.unwrap_or_default() {
        packer.group(signal, &group);
    }
    packer.finish();
    packer.done
}

struct Packer {
    encoding: Encoding,
    content: bool,
    done: Vec<Part>,
    /// The request being made.
    request: Vec<u8>,
    records: u32,
    /// Bytes of the records in it.
    packed: usize,
}

/// A resource's records that are being put together.
struct Open {
    resource: Vec<u8>,
    group: Vec<u8>,
    scope: Vec<u8>,
    records: Vec<u8>,
}

impl Packer {
    fn group(&mut self, signal: Signal, group: &Group<'_>) {
        let Some(resource) = self.read::<Resource>(group.resource) else { return };
        let service = resource.attributes.iter().find(|a| a.key == "service.name");
        let service = service
            .and_then(|a| a.value.as_ref()?.string_value.as_deref())
            .filter(|name| !name.trim().is_empty());
        let service = service.map(str::to_owned);
        let mut open =
            Open { resource: Vec::new(), group: Vec::new(), scope: Vec::new(), records: Vec::new() };
        for scope in &group.scopes {
            let Some(named) = self.read::<Scope>(scope.scope) else { continue };
            let writer = match classify::by_name(service.as_deref(), &named.name) {
                Origin::Coding(_) | Origin::OtherCoding => Writer::CodingAgent,
                Origin::Service => Writer::Program,
            };
            if open.resource.is_empty() {
                open.resource = self.around(resource.clone(), writer);
            }
            open.scope = self.around(named, writer);
            for record in &scope.records {
                let packed = match signal {
                    Signal::Logs => self.record::<LogRecord>(record, writer),
                    Signal::Traces => self.record::<Span>(record, writer),
                    Signal::Metrics => self.record::<Metric>(record, writer),
                };
                let Some(packed) = packed else { continue };
                self.packed += packed.len();
                self.records = self.records.saturating_add(1);
                field(2, &packed, &mut open.records);
                if self.packed >= PART_BYTES {
                    self.close_scope(&mut open);
                    self.close_group(&mut open);
                    self.finish();
                }
            }
            self.close_scope(&mut open);
        }
        self.close_group(&mut open);
    }

    fn close_scope(&mut self, open: &mut Open) {
        if open.records.is_empty() {
            return;
        }
        let mut scope = Vec::with_capacity(open.scope.len() + open.records.len() + 16);
        field(1, &open.scope, &mut scope);
        scope.append(&mut open.records);
        field(2, &scope, &mut open.group);
    }

    fn close_group(&mut self, open: &mut Open) {
        if open.group.is_empty() {
            return;
        }
        let mut group = Vec::with_capacity(open.resource.len() + open.group.len() + 16);
        field(1, &open.resource, &mut group);
        group.append(&mut open.group);
        field(1, &group, &mut self.request);
    }

    fn finish(&mut self) {
        let (body, records) = (std::mem::take(&mut self.request), std::mem::take(&mut self.records));
        self.packed = 0;
        if records > 0 {
            self.done.push(Part { body, records });
        }
    }

    /// A resource or a scope as it goes on.
    fn around<T: Message + Default + Strip>(&self, mut one: T, writer: Writer) -> Vec<u8> {
        if !self.content {
            one.strip(writer);
        }
        let bytes = one.encode_to_vec();
        if bytes.len() > MAX_AROUND_BYTES { Vec::new() } else { bytes }
    }

    /// A record as it goes on; with content, one in protobuf keeps every byte, fields of a later OTLP included.
    fn record<T>(&self, bytes: &[u8], writer: Writer) -> Option<Vec<u8>>
    where
        T: Message + Default + Strip + for<'de> Deserialize<'de>,
    {
        let mut record: T = self.read(bytes)?;
        if self.content && self.encoding == Encoding::Protobuf {
            return Some(bytes.to_vec());
        }
        if !self.content {
            record.strip(writer);
        }
        Some(record.encode_to_vec())
    }

    fn read<T: Message + Default + for<'de> Deserialize<'de>>(&self, bytes: &[u8]) -> Option<T> {
        if bytes.len() > MAX_RECORD_BYTES {
            return None;
        }
        match self.encoding {
            Encoding::Protobuf => T::decode(bytes).ok(),
            Encoding::Json if bytes.is_empty() => Some(T::default()),
            Encoding::Json => serde_json::from_slice(bytes).ok(),
        }
    }
}

/// Writes a field that holds bytes.
pub(super) fn field(number: u32, bytes: &[u8], to: &mut Vec<u8>) {
    prost::encoding::encode_key(number, prost::encoding::WireType::LengthDelimited, to);
    prost::encoding::encode_varint(bytes.len() as u64, to);
    to.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests;
