//! Metrics of Claude Code: what they measure of a session. Codex's name no thread and Gemini CLI's repeat its records;
//! both are counted only.

use lamplight_model::ids::{FactId, Timestamp};
use lamplight_model::telemetry::{Meter, TokenKind};
use xxhash_rust::xxh3::xxh3_128;

use super::attributes::Attributes;
use super::proto::{DataPoint, Grown, KeyValue, Value};
use super::{About, Fact, Metered, RecordId};

/// Says what a data point means; `None` for one that is counted only.
pub(super) fn claude(
    metric: &str,
    point: &DataPoint<'_>,
    own: &Attributes<'_>,
    about: &About,
    around: u128,
    at: Timestamp,
) -> Option<Fact> {
    let grown = point.grown?;
    let model = || own.name("model").unwrap_or_else(|| "unknown".to_owned());
    let (meter, unit) = match metric.strip_prefix("claude_code.")? {
        "token.usage" => {
            let kind = match own.text("type")? {
                "input" => TokenKind::Input,
                "output" => TokenKind::Output,
                "cacheRead" => TokenKind::CacheRead,
                "cacheCreation" => TokenKind::CacheWrite,
                _ => return None,
            };
            (Meter::Tokens { model: model(), kind }, 1.0)
        }
        // Billionths of a dollar, milliseconds.
        "cost.usage" => (Meter::Cost { model: model() }, 1e9),
        "active_time.total" => {
            let by_person = own.text("type") == Some("user");
            (if by_person { Meter::ActiveByPerson } else { Meter::ActiveByAgent }, 1e3)
        }
        "lines_of_code.count" => match own.text("type")? {
            "added" => (Meter::LinesAdded, 1.0),
            "removed" => (Meter::LinesRemoved, 1.0),
            _ => return None,
        },
        "code_edit_tool.decision" => match own.text("decision")? {
            "accept" => (Meter::EditsAccepted, 1.0),
            "reject" => (Meter::EditsRejected, 1.0),
            _ => return None,
        },
        "commit.count" => (Meter::Commits, 1.0),
        "pull_request.count" => (Meter::PullRequests, 1.0),
        "session.count" => (Meter::Starts, 1.0),
        _ => return None,
    };
    let series = series(metric, point, around, &grown);
    let at_ns = if grown.is_cumulative { grown.start_time_unix_nano } else { point.time_unix_nano };
    Some(Fact::Metered(Metered {
        session: about.session.clone(),
        at,
        id: RecordId { at_ns: i64::try_from(at_ns).unwrap_or(i64::MAX), hash: series },
        meter,
        amount: whole(grown.value * unit)?,
        is_cumulative: grown.is_cumulative,
    }))
}

/// A delta's own identity; of a cumulative sum that of its series since one start. A restarted process counts anew, from
/// another start.
fn series(metric: &str, point: &DataPoint<'_>, around: u128, grown: &Grown) -> FactId {
    let mut bytes = around.to_be_bytes().to_vec();
    bytes.extend_from_slice(metric.as_bytes());
    let mut attributes: Vec<&KeyValue> = point.attributes.iter().collect();
    attributes.sort_by(|a, b| a.key.cmp(&b.key));
    for KeyValue { key, value } in attributes {
        bytes.push(0);
        bytes.extend_from_slice(key.as_bytes());
        bytes.push(1);
        match value.as_ref().and_then(|v| v.value.as_ref()) {
            Some(Value::Text(text)) => bytes.extend_from_slice(text.as_bytes()),
            Some(Value::Int(n)) => bytes.extend_from_slice(&n.to_be_bytes()),
            Some(Value::Double(n)) => bytes.extend_from_slice(&n.to_be_bytes()),
            Some(Value::Bool(b)) => bytes.push(u8::from(*b)),
            None => {}
        }
    }
    bytes.extend_from_slice(&grown.start_time_unix_nano.to_be_bytes());
    if !grown.is_cumulative {
        bytes.extend_from_slice(&point.time_unix_nano.to_be_bytes());
    }
    FactId(xxh3_128(&bytes))
}

/// Rounds an amount; `None` above 2^53, where not every whole number is one.
fn whole(n: f64) -> Option<u64> {
    (n.is_finite() && (0.0..9.0e15).contains(&n)).then(|| format!("{n:.0}").parse().ok())?
}
