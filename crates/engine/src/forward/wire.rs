//! OTLP's messages in full, as they are passed on; field numbers as in opentelemetry-proto 1.x.
//!
//! `sources/otlp/proto` declares what means something to Lamplight and skips the rest; a record that goes on to a
//! Collector has to keep the rest. JSON is read as leniently as there. The choices of a `oneof` are optional fields,
//! which is the same on the wire.

use base64::Engine as _;
use prost::Message;
use serde::{Deserialize, Deserializer};

use crate::sources::otlp::json::{
    Int, Real, by_name, hex, number, optional, severity, span_kind, status_code, text,
};

macro_rules! message {
    ($(#[$meta:meta])* $name:ident { $($body:tt)* }) => {
        $(#[$meta])*
        #[derive(Clone, PartialEq, Message, Deserialize)]
        #[serde(default, rename_all = "camelCase")]
        pub(crate) struct $name { $($body)* }
    };
}

message! {
    /// Who sent something.
    Resource {
        #[prost(message, repeated, tag = "1")]
        #[serde(deserialize_with = "list")]
        pub attributes: Vec<KeyValue>,
        #[prost(uint32, tag = "2")]
        #[serde(deserialize_with = "small")]
        pub dropped_attributes_count: u32,
    }
}

message! {
    /// Which part of it did.
    Scope {
        #[prost(string, tag = "1")]
        #[serde(deserialize_with = "text")]
        pub name: String,
        #[prost(string, tag = "2")]
        #[serde(deserialize_with = "text")]
        pub version: String,
        #[prost(message, repeated, tag = "3")]
        #[serde(deserialize_with = "list")]
        pub attributes: Vec<KeyValue>,
        #[prost(uint32, tag = "4")]
        #[serde(deserialize_with = "small")]
        pub dropped_attributes_count: u32,
    }
}

message! {
    /// An attribute.
    KeyValue {
        #[prost(string, tag = "1")]
        #[serde(deserialize_with = "text")]
        pub key: String,
        #[prost(message, optional, tag = "2")]
        #[serde(deserialize_with = "optional")]
        pub value: Option<AnyValue>,
    }
}

message! {
    /// A value: one of these is set.
    AnyValue {
        #[prost(string, optional, tag = "1")]
        pub string_value: Option<String>,
        #[prost(bool, optional, tag = "2")]
        pub bool_value: Option<bool>,
        #[prost(int64, optional, tag = "3")]
        #[serde(deserialize_with = "whole")]
        pub int_value: Option<i64>,
        #[prost(double, optional, tag = "4")]
        #[serde(deserialize_with = "real")]
        pub double_value: Option<f64>,
        #[prost(message, optional, tag = "5")]
        pub array_value: Option<ArrayValue>,
        #[prost(message, optional, tag = "6")]
        pub kvlist_value: Option<KeyValueList>,
        #[prost(bytes = "vec", optional, tag = "7")]
        #[serde(deserialize_with = "base64")]
        pub bytes_value: Option<Vec<u8>>,
    }
}

message! {
    /// A list.
    ArrayValue {
        #[prost(message, repeated, tag = "1")]
        #[serde(deserialize_with = "list")]
        pub values: Vec<AnyValue>,
    }
}

message! {
    /// A map.
    KeyValueList {
        #[prost(message, repeated, tag = "1")]
        #[serde(deserialize_with = "list")]
        pub values: Vec<KeyValue>,
    }
}

message! {
    /// A log record.
    LogRecord {
        #[prost(fixed64, tag = "1")]
        #[serde(deserialize_with = "number")]
        pub time_unix_nano: u64,
        #[prost(fixed64, tag = "11")]
        #[serde(deserialize_with = "number")]
        pub observed_time_unix_nano: u64,
        #[prost(int32, tag = "2")]
        #[serde(deserialize_with = "severity")]
        pub severity_number: i32,
        #[prost(string, tag = "3")]
        #[serde(deserialize_with = "text")]
        pub severity_text: String,
        #[prost(message, optional, tag = "5")]
        #[serde(deserialize_with = "optional")]
        pub body: Option<AnyValue>,
        #[prost(message, repeated, tag = "6")]
        #[serde(deserialize_with = "list")]
        pub attributes: Vec<KeyValue>,
        #[prost(uint32, tag = "7")]
        #[serde(deserialize_with = "small")]
        pub dropped_attributes_count: u32,
        #[prost(fixed32, tag = "8")]
        #[serde(deserialize_with = "small")]
        pub flags: u32,
        #[prost(bytes = "vec", tag = "9")]
        #[serde(deserialize_with = "hex")]
        pub trace_id: Vec<u8>,
        #[prost(bytes = "vec", tag = "10")]
        #[serde(deserialize_with = "hex")]
        pub span_id: Vec<u8>,
        #[prost(string, tag = "12")]
        #[serde(deserialize_with = "text")]
        pub event_name: String,
    }
}

message! {
    /// A span.
    Span {
        #[prost(bytes = "vec", tag = "1")]
        #[serde(deserialize_with = "hex")]
        pub trace_id: Vec<u8>,
        #[prost(bytes = "vec", tag = "2")]
        #[serde(deserialize_with = "hex")]
        pub span_id: Vec<u8>,
        #[prost(string, tag = "3")]
        #[serde(deserialize_with = "text")]
        pub trace_state: String,
        #[prost(bytes = "vec", tag = "4")]
        #[serde(deserialize_with = "hex")]
        pub parent_span_id: Vec<u8>,
        #[prost(fixed32, tag = "16")]
        #[serde(deserialize_with = "small")]
        pub flags: u32,
        #[prost(string, tag = "5")]
        #[serde(deserialize_with = "text")]
        pub name: String,
        #[prost(int32, tag = "6")]
        #[serde(deserialize_with = "span_kind")]
        pub kind: i32,
        #[prost(fixed64, tag = "7")]
        #[serde(deserialize_with = "number")]
        pub start_time_unix_nano: u64,
        #[prost(fixed64, tag = "8")]
        #[serde(deserialize_with = "number")]
        pub end_time_unix_nano: u64,
        #[prost(message, repeated, tag = "9")]
        #[serde(deserialize_with = "list")]
        pub attributes: Vec<KeyValue>,
        #[prost(uint32, tag = "10")]
        #[serde(deserialize_with = "small")]
        pub dropped_attributes_count: u32,
        #[prost(message, repeated, tag = "11")]
        #[serde(deserialize_with = "list")]
        pub events: Vec<SpanEvent>,
        #[prost(uint32, tag = "12")]
        #[serde(deserialize_with = "small")]
        pub dropped_events_count: u32,
        #[prost(message, repeated, tag = "13")]
        #[serde(deserialize_with = "list")]
        pub links: Vec<Link>,
        #[prost(uint32, tag = "14")]
        #[serde(deserialize_with = "small")]
        pub dropped_links_count: u32,
        #[prost(message, optional, tag = "15")]
        #[serde(deserialize_with = "optional")]
        pub status: Option<Status>,
    }
}

message! {
    /// Something that happened within a span.
    SpanEvent {
        #[prost(fixed64, tag = "1")]
        #[serde(deserialize_with = "number")]
        pub time_unix_nano: u64,
        #[prost(string, tag = "2")]
        #[serde(deserialize_with = "text")]
        pub name: String,
        #[prost(message, repeated, tag = "3")]
        #[serde(deserialize_with = "list")]
        pub attributes: Vec<KeyValue>,
        #[prost(uint32, tag = "4")]
        #[serde(deserialize_with = "small")]
        pub dropped_attributes_count: u32,
    }
}

message! {
    /// Another span it has to do with.
    Link {
        #[prost(bytes = "vec", tag = "1")]
        #[serde(deserialize_with = "hex")]
        pub trace_id: Vec<u8>,
        #[prost(bytes = "vec", tag = "2")]
        #[serde(deserialize_with = "hex")]
        pub span_id: Vec<u8>,
        #[prost(string, tag = "3")]
        #[serde(deserialize_with = "text")]
        pub trace_state: String,
        #[prost(message, repeated, tag = "4")]
        #[serde(deserialize_with = "list")]
        pub attributes: Vec<KeyValue>,
        #[prost(uint32, tag = "5")]
        #[serde(deserialize_with = "small")]
        pub dropped_attributes_count: u32,
        #[prost(fixed32, tag = "6")]
        #[serde(deserialize_with = "small")]
        pub flags: u32,
    }
}

message! {
    /// How a span ended.
    Status {
        #[prost(string, tag = "2")]
        #[serde(deserialize_with = "text")]
        pub message: String,
        #[prost(int32, tag = "3")]
        #[serde(deserialize_with = "status_code")]
        pub code: i32,
    }
}

message! {
    /// A metric: one of its kinds is set.
    Metric {
        #[prost(string, tag = "1")]
        #[serde(deserialize_with = "text")]
        pub name: String,
        #[prost(string, tag = "2")]
        #[serde(deserialize_with = "text")]
        pub description: String,
        #[prost(string, tag = "3")]
        #[serde(deserialize_with = "text")]
        pub unit: String,
        #[prost(message, optional, tag = "5")]
        pub gauge: Option<Gauge>,
        #[prost(message, optional, tag = "7")]
        pub sum: Option<Sum>,
        #[prost(message, optional, tag = "9")]
        pub histogram: Option<Histogram>,
        #[prost(message, optional, tag = "10")]
        pub exponential_histogram: Option<ExponentialHistogram>,
        #[prost(message, optional, tag = "11")]
        pub summary: Option<Summary>,
        #[prost(message, repeated, tag = "12")]
        #[serde(deserialize_with = "list")]
        pub metadata: Vec<KeyValue>,
    }
}

message! {
    /// Current values.
    Gauge {
        #[prost(message, repeated, tag = "1")]
        #[serde(deserialize_with = "list")]
        pub data_points: Vec<NumberPoint>,
    }
}

message! {
    /// Sums.
    Sum {
        #[prost(message, repeated, tag = "1")]
        #[serde(deserialize_with = "list")]
        pub data_points: Vec<NumberPoint>,
        #[prost(int32, tag = "2")]
        #[serde(deserialize_with = "temporality")]
        pub aggregation_temporality: i32,
        #[prost(bool, tag = "3")]
        #[serde(deserialize_with = "flag")]
        pub is_monotonic: bool,
    }
}

message! {
    /// Distributions.
    Histogram {
        #[prost(message, repeated, tag = "1")]
        #[serde(deserialize_with = "list")]
        pub data_points: Vec<HistogramPoint>,
        #[prost(int32, tag = "2")]
        #[serde(deserialize_with = "temporality")]
        pub aggregation_temporality: i32,
    }
}

message! {
    /// Distributions with growing buckets.
    ExponentialHistogram {
        #[prost(message, repeated, tag = "1")]
        #[serde(deserialize_with = "list")]
        pub data_points: Vec<ExponentialPoint>,
        #[prost(int32, tag = "2")]
        #[serde(deserialize_with = "temporality")]
        pub aggregation_temporality: i32,
    }
}

message! {
    /// Quantiles.
    Summary {
        #[prost(message, repeated, tag = "1")]
        #[serde(deserialize_with = "list")]
        pub data_points: Vec<SummaryPoint>,
    }
}

message! {
    /// A number.
    NumberPoint {
        #[prost(message, repeated, tag = "7")]
        #[serde(deserialize_with = "list")]
        pub attributes: Vec<KeyValue>,
        #[prost(fixed64, tag = "2")]
        #[serde(deserialize_with = "number")]
        pub start_time_unix_nano: u64,
        #[prost(fixed64, tag = "3")]
        #[serde(deserialize_with = "number")]
        pub time_unix_nano: u64,
        #[prost(double, optional, tag = "4")]
        #[serde(deserialize_with = "real")]
        pub as_double: Option<f64>,
        #[prost(sfixed64, optional, tag = "6")]
        #[serde(deserialize_with = "whole")]
        pub as_int: Option<i64>,
        #[prost(message, repeated, tag = "5")]
        #[serde(deserialize_with = "list")]
        pub exemplars: Vec<Exemplar>,
        #[prost(uint32, tag = "8")]
        #[serde(deserialize_with = "small")]
        pub flags: u32,
    }
}

message! {
    /// A distribution.
    HistogramPoint {
        #[prost(message, repeated, tag = "9")]
        #[serde(deserialize_with = "list")]
        pub attributes: Vec<KeyValue>,
        #[prost(fixed64, tag = "2")]
        #[serde(deserialize_with = "number")]
        pub start_time_unix_nano: u64,
        #[prost(fixed64, tag = "3")]
        #[serde(deserialize_with = "number")]
        pub time_unix_nano: u64,
        #[prost(fixed64, tag = "4")]
        #[serde(deserialize_with = "number")]
        pub count: u64,
        #[prost(double, optional, tag = "5")]
        #[serde(deserialize_with = "real")]
        pub sum: Option<f64>,
        #[prost(fixed64, repeated, tag = "6")]
        #[serde(deserialize_with = "numbers")]
        pub bucket_counts: Vec<u64>,
        #[prost(double, repeated, tag = "7")]
        #[serde(deserialize_with = "reals")]
        pub explicit_bounds: Vec<f64>,
        #[prost(message, repeated, tag = "8")]
        #[serde(deserialize_with = "list")]
        pub exemplars: Vec<Exemplar>,
        #[prost(uint32, tag = "10")]
        #[serde(deserialize_with = "small")]
        pub flags: u32,
        #[prost(double, optional, tag = "11")]
        #[serde(deserialize_with = "real")]
        pub min: Option<f64>,
        #[prost(double, optional, tag = "12")]
        #[serde(deserialize_with = "real")]
        pub max: Option<f64>,
    }
}

message! {
    /// A distribution with growing buckets.
    ExponentialPoint {
        #[prost(message, repeated, tag = "1")]
        #[serde(deserialize_with = "list")]
        pub attributes: Vec<KeyValue>,
        #[prost(fixed64, tag = "2")]
        #[serde(deserialize_with = "number")]
        pub start_time_unix_nano: u64,
        #[prost(fixed64, tag = "3")]
        #[serde(deserialize_with = "number")]
        pub time_unix_nano: u64,
        #[prost(fixed64, tag = "4")]
        #[serde(deserialize_with = "number")]
        pub count: u64,
        #[prost(double, optional, tag = "5")]
        #[serde(deserialize_with = "real")]
        pub sum: Option<f64>,
        #[prost(sint32, tag = "6")]
        #[serde(deserialize_with = "signed")]
        pub scale: i32,
        #[prost(fixed64, tag = "7")]
        #[serde(deserialize_with = "number")]
        pub zero_count: u64,
        #[prost(message, optional, tag = "8")]
        pub positive: Option<Buckets>,
        #[prost(message, optional, tag = "9")]
        pub negative: Option<Buckets>,
        #[prost(uint32, tag = "10")]
        #[serde(deserialize_with = "small")]
        pub flags: u32,
        #[prost(message, repeated, tag = "11")]
        #[serde(deserialize_with = "list")]
        pub exemplars: Vec<Exemplar>,
        #[prost(double, optional, tag = "12")]
        #[serde(deserialize_with = "real")]
        pub min: Option<f64>,
        #[prost(double, optional, tag = "13")]
        #[serde(deserialize_with = "real")]
        pub max: Option<f64>,
        #[prost(double, optional, tag = "14")]
        #[serde(deserialize_with = "real")]
        pub zero_threshold: Option<f64>,
    }
}

message! {
    /// Buckets of one sign.
    Buckets {
        #[prost(sint32, tag = "1")]
        #[serde(deserialize_with = "signed")]
        pub offset: i32,
        #[prost(uint64, repeated, tag = "2")]
        #[serde(deserialize_with = "numbers")]
        pub bucket_counts: Vec<u64>,
    }
}

message! {
    /// Quantiles of one series.
    SummaryPoint {
        #[prost(message, repeated, tag = "7")]
        #[serde(deserialize_with = "list")]
        pub attributes: Vec<KeyValue>,
        #[prost(fixed64, tag = "2")]
        #[serde(deserialize_with = "number")]
        pub start_time_unix_nano: u64,
        #[prost(fixed64, tag = "3")]
        #[serde(deserialize_with = "number")]
        pub time_unix_nano: u64,
        #[prost(fixed64, tag = "4")]
        #[serde(deserialize_with = "number")]
        pub count: u64,
        #[prost(double, optional, tag = "5")]
        #[serde(deserialize_with = "real")]
        pub sum: Option<f64>,
        #[prost(message, repeated, tag = "6")]
        #[serde(deserialize_with = "list")]
        pub quantile_values: Vec<Quantile>,
        #[prost(uint32, tag = "8")]
        #[serde(deserialize_with = "small")]
        pub flags: u32,
    }
}

message! {
    /// One quantile.
    Quantile {
        #[prost(double, optional, tag = "1")]
        #[serde(deserialize_with = "real")]
        pub quantile: Option<f64>,
        #[prost(double, optional, tag = "2")]
        #[serde(deserialize_with = "real")]
        pub value: Option<f64>,
    }
}

message! {
    /// One measurement behind a point.
    Exemplar {
        #[prost(message, repeated, tag = "7")]
        #[serde(deserialize_with = "list")]
        pub filtered_attributes: Vec<KeyValue>,
        #[prost(fixed64, tag = "2")]
        #[serde(deserialize_with = "number")]
        pub time_unix_nano: u64,
        #[prost(double, optional, tag = "3")]
        #[serde(deserialize_with = "real")]
        pub as_double: Option<f64>,
        #[prost(sfixed64, optional, tag = "6")]
        #[serde(deserialize_with = "whole")]
        pub as_int: Option<i64>,
        #[prost(bytes = "vec", tag = "4")]
        #[serde(deserialize_with = "hex")]
        pub span_id: Vec<u8>,
        #[prost(bytes = "vec", tag = "5")]
        #[serde(deserialize_with = "hex")]
        pub trace_id: Vec<u8>,
    }
}

impl KeyValue {
    /// An attribute with a text.
    pub(crate) fn text(key: &str, value: impl Into<String>) -> Self {
        Self::of(key, AnyValue { string_value: Some(value.into()), ..AnyValue::default() })
    }

    /// An attribute with a whole number.
    pub(crate) fn int(key: &str, value: i64) -> Self {
        Self::of(key, AnyValue { int_value: Some(value), ..AnyValue::default() })
    }

    /// An attribute with a number.
    pub(crate) fn double(key: &str, value: f64) -> Self {
        Self::of(key, AnyValue { double_value: Some(value), ..AnyValue::default() })
    }

    fn of(key: &str, value: AnyValue) -> Self {
        Self { key: key.to_owned(), value: Some(value) }
    }
}

/// A list; `null` counts as empty.
fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Vec<T>, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

fn whole<'de, D: Deserializer<'de>>(from: D) -> Result<Option<i64>, D::Error> {
    let n = Int::deserialize(from)?.0;
    n.map(|n| i64::try_from(n).map_err(serde::de::Error::custom)).transpose()
}

fn real<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f64>, D::Error> {
    Ok(Real::deserialize(from)?.0)
}

fn reals<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<f64>, D::Error> {
    Ok(list::<D, Real>(from)?.into_iter().filter_map(|real| real.0).collect())
}

fn numbers<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u64>, D::Error> {
    let all: Vec<Int> = list(from)?;
    all.into_iter().map(|n| u64::try_from(n.0.unwrap_or(0)).map_err(serde::de::Error::custom)).collect()
}

fn small<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    u32::try_from(number(from)?).map_err(serde::de::Error::custom)
}

fn signed<'de, D: Deserializer<'de>>(from: D) -> Result<i32, D::Error> {
    i32::try_from(Int::deserialize(from)?.0.unwrap_or(0)).map_err(serde::de::Error::custom)
}

fn flag<'de, D: Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

fn temporality<'de, D: Deserializer<'de>>(from: D) -> Result<i32, D::Error> {
    by_name(from, &[("AGGREGATION_TEMPORALITY_DELTA", 1), ("AGGREGATION_TEMPORALITY_CUMULATIVE", 2)])
}

fn base64<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<u8>>, D::Error> {
    let text: Option<String> = Option::deserialize(from)?;
    text.map(|text| base64::engine::general_purpose::STANDARD.decode(text).map_err(serde::de::Error::custom))
        .transpose()
}
