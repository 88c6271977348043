//! What is read of OTLP's messages, in protobuf and in JSON; field numbers as in opentelemetry-proto 1.x.
//!
//! Only fields that mean something here are declared: everything else is skipped without being built, which bounds what
//! a hostile record can cost, and spares the OpenTelemetry SDK that the published Rust types bring along.

use prost::Message;
use serde::Deserialize;

use super::json::{
    double, flag, hex, list, number, optional, severity, signed, span_kind, status_code, temporality, text,
};
use super::{PartialSuccess, Signal};

/// Attributes read of one record; an exporter's own limit is 128.
pub(super) const MAX_ATTRIBUTES: usize = 1_024;

#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(default)]
pub(super) struct Resource {
    #[prost(message, repeated, tag = "1")]
    #[serde(deserialize_with = "list")]
    pub attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(default)]
pub(super) struct InstrumentationScope {
    #[prost(string, tag = "1")]
    #[serde(deserialize_with = "text")]
    pub name: String,
}

#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(default)]
pub(super) struct KeyValue {
    #[prost(string, tag = "1")]
    #[serde(deserialize_with = "text")]
    pub key: String,
    #[prost(message, optional, tag = "2")]
    #[serde(deserialize_with = "optional")]
    pub value: Option<AnyValue>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct AnyValue {
    #[prost(oneof = "Value", tags = "1, 2, 3, 4")]
    pub value: Option<Value>,
}

/// A value; arrays, maps and bytes are skipped.
#[derive(Clone, PartialEq, prost::Oneof)]
pub(super) enum Value {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(bool, tag = "2")]
    Bool(bool),
    #[prost(int64, tag = "3")]
    Int(i64),
    #[prost(double, tag = "4")]
    Double(f64),
}

#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct LogRecord {
    #[prost(fixed64, tag = "1")]
    #[serde(deserialize_with = "number")]
    pub time_unix_nano: u64,
    #[prost(fixed64, tag = "11")]
    #[serde(deserialize_with = "number")]
    pub observed_time_unix_nano: u64,
    #[prost(int32, tag = "2")]
    #[serde(deserialize_with = "severity")]
    pub severity_number: i32,
    #[prost(message, optional, tag = "5")]
    #[serde(deserialize_with = "optional")]
    pub body: Option<AnyValue>,
    #[prost(message, repeated, tag = "6")]
    #[serde(deserialize_with = "list")]
    pub attributes: Vec<KeyValue>,
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

#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Span {
    #[prost(bytes = "vec", tag = "1")]
    #[serde(deserialize_with = "hex")]
    pub trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    #[serde(deserialize_with = "hex")]
    pub span_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    #[serde(deserialize_with = "hex")]
    pub parent_span_id: Vec<u8>,
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
    #[prost(message, optional, tag = "15")]
    #[serde(deserialize_with = "optional")]
    pub status: Option<Status>,
}

/// `SPAN_KIND_SERVER`.
pub(super) const SERVER: i32 = 2;
/// `SPAN_KIND_CLIENT`.
pub(super) const CLIENT: i32 = 3;
/// `SPAN_KIND_PRODUCER`.
pub(super) const PRODUCER: i32 = 4;
/// `SPAN_KIND_CONSUMER`.
pub(super) const CONSUMER: i32 = 5;
/// `STATUS_CODE_OK`.
pub(super) const OK: i32 = 1;
/// `STATUS_CODE_ERROR`.
pub(super) const ERROR: i32 = 2;
/// `SEVERITY_NUMBER_ERROR`; larger ones are worse.
pub(super) const SEVERITY_ERROR: i32 = 17;

#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(default)]
pub(super) struct Status {
    #[prost(string, tag = "2")]
    #[serde(deserialize_with = "text")]
    pub message: String,
    #[prost(int32, tag = "3")]
    #[serde(deserialize_with = "status_code")]
    pub code: i32,
}

#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Metric {
    #[prost(string, tag = "1")]
    #[serde(deserialize_with = "text")]
    pub name: String,
    #[prost(message, optional, tag = "5")]
    #[serde(deserialize_with = "optional")]
    pub gauge: Option<NumberPoints>,
    #[prost(message, optional, tag = "7")]
    #[serde(deserialize_with = "optional")]
    pub sum: Option<SumPoints>,
    #[prost(message, optional, tag = "9")]
    #[serde(deserialize_with = "optional")]
    pub histogram: Option<HistogramPoints>,
    #[prost(message, optional, tag = "10")]
    #[serde(deserialize_with = "optional")]
    pub exponential_histogram: Option<ExponentialPoints>,
    #[prost(message, optional, tag = "11")]
    #[serde(deserialize_with = "optional")]
    pub summary: Option<NumberPoints>,
}

macro_rules! points {
    ($list:ident, $point:ident, $tag:literal) => {
        #[derive(Clone, PartialEq, Message, Deserialize)]
        #[serde(default, rename_all = "camelCase")]
        pub(super) struct $list {
            #[prost(message, repeated, tag = "1")]
            #[serde(deserialize_with = "list")]
            pub data_points: Vec<$point>,
        }

        #[derive(Clone, PartialEq, Message, Deserialize)]
        #[serde(default, rename_all = "camelCase")]
        pub(super) struct $point {
            #[prost(fixed64, tag = "3")]
            #[serde(deserialize_with = "number")]
            pub time_unix_nano: u64,
            #[prost(message, repeated, tag = $tag)]
            #[serde(deserialize_with = "list")]
            pub attributes: Vec<KeyValue>,
        }
    };
}

// Number and summary points share the number of their attributes' field.
points!(NumberPoints, NumberPoint, "7");
points!(HistogramPoints, HistogramPoint, "9");
points!(ExponentialPoints, ExponentialPoint, "1");

/// `AGGREGATION_TEMPORALITY_DELTA`.
const DELTA: i32 = 1;
/// `AGGREGATION_TEMPORALITY_CUMULATIVE`.
const CUMULATIVE: i32 = 2;

#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct SumPoints {
    #[prost(message, repeated, tag = "1")]
    #[serde(deserialize_with = "list")]
    pub data_points: Vec<SumPoint>,
    #[prost(int32, tag = "2")]
    #[serde(deserialize_with = "temporality")]
    pub aggregation_temporality: i32,
    #[prost(bool, tag = "3")]
    #[serde(deserialize_with = "flag")]
    pub is_monotonic: bool,
}

#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct SumPoint {
    #[prost(fixed64, tag = "2")]
    #[serde(deserialize_with = "number")]
    pub start_time_unix_nano: u64,
    #[prost(fixed64, tag = "3")]
    #[serde(deserialize_with = "number")]
    pub time_unix_nano: u64,
    #[prost(double, optional, tag = "4")]
    #[serde(deserialize_with = "double")]
    pub as_double: Option<f64>,
    #[prost(sfixed64, optional, tag = "6")]
    #[serde(deserialize_with = "signed")]
    pub as_int: Option<i64>,
    #[prost(message, repeated, tag = "7")]
    #[serde(deserialize_with = "list")]
    pub attributes: Vec<KeyValue>,
}

/// A data point of any kind.
pub(super) struct DataPoint<'a> {
    pub time_unix_nano: u64,
    pub attributes: &'a [KeyValue],
    /// Its value, of a sum that only grows.
    pub grown: Option<Grown>,
}

/// By how much a sum grew since its start.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Grown {
    pub start_time_unix_nano: u64,
    pub value: f64,
    /// Since the start of the process, and not since the point before.
    pub is_cumulative: bool,
}

impl SumPoints {
    fn grown(&self, point: &SumPoint) -> Option<Grown> {
        let is_cumulative = match self.aggregation_temporality {
            DELTA => false,
            CUMULATIVE => true,
            _ => return None,
        };
        // Exact below 2^53.
        let value = point.as_double.or(point.as_int.map(|n| n as f64))?;
        let is_usable = self.is_monotonic && value.is_finite() && value >= 0.0;
        is_usable.then_some(Grown { start_time_unix_nano: point.start_time_unix_nano, value, is_cumulative })
    }
}

impl Metric {
    pub(super) fn points(&self) -> Vec<DataPoint<'_>> {
        let mut all = Vec::new();
        if let Some(points) = &self.sum {
            all.extend(points.data_points.iter().map(|p| DataPoint {
                time_unix_nano: p.time_unix_nano,
                attributes: &p.attributes,
                grown: points.grown(p),
            }));
        }
        for points in [&self.gauge, &self.summary].into_iter().flatten() {
            all.extend(points.data_points.iter().map(|p| DataPoint {
                time_unix_nano: p.time_unix_nano,
                attributes: &p.attributes,
                grown: None,
            }));
        }
        if let Some(points) = &self.histogram {
            all.extend(points.data_points.iter().map(|p| DataPoint {
                time_unix_nano: p.time_unix_nano,
                attributes: &p.attributes,
                grown: None,
            }));
        }
        if let Some(points) = &self.exponential_histogram {
            all.extend(points.data_points.iter().map(|p| DataPoint {
                time_unix_nano: p.time_unix_nano,
                attributes: &p.attributes,
                grown: None,
            }));
        }
        all
    }
}

/// `Export…ServiceResponse` of every signal: they differ in names only.
#[derive(Clone, PartialEq, Message)]
struct Response {
    #[prost(message, optional, tag = "1")]
    partial_success: Option<Refused>,
}

#[derive(Clone, PartialEq, Message)]
struct Refused {
    #[prost(int64, tag = "1")]
    rejected: i64,
    #[prost(string, tag = "2")]
    error_message: String,
}

/// Writes the answer to an accepted request.
#[must_use]
pub fn response_bytes(signal: Signal, encoding: super::Encoding, partial: &PartialSuccess) -> Vec<u8> {
    let refused = partial.rejected > 0;
    match encoding {
        super::Encoding::Protobuf => Response {
            partial_success: refused.then(|| Refused {
                rejected: i64::try_from(partial.rejected).unwrap_or(i64::MAX),
                error_message: partial.message.unwrap_or_default().to_owned(),
            }),
        }
        .encode_to_vec(),
        super::Encoding::Json if refused => {
            // Counts are 64 bits wide, which OTLP's JSON writes as text.
            let (field, rejected) = (signal.rejected_field(), partial.rejected.to_string());
            serde_json::json!({"partialSuccess": {field: rejected, "errorMessage": partial.message.unwrap_or_default()}})
                .to_string()
                .into_bytes()
        }
        super::Encoding::Json => b"{}".to_vec(),
    }
}

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
}

/// Writes the answer to a request that was not accepted.
#[must_use]
pub fn status_bytes(encoding: super::Encoding, code: i32, message: &str) -> Vec<u8> {
    match encoding {
        super::Encoding::Protobuf => RpcStatus { code, message: message.to_owned() }.encode_to_vec(),
        super::Encoding::Json => {
            serde_json::json!({"code": code, "message": message}).to_string().into_bytes()
        }
    }
}
