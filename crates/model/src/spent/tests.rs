use super::*;
use crate::session::{ModelSum, Transcript};
use crate::telemetry::{Meter, TokenKind, Unwritten};

const MODEL: &str = "claude-haiku-4-5";

fn usage(output: u64) -> Usage {
    Usage { output, ..Usage::default() }
}

/// A session of which a transcript shows `written`, records `unwritten` and metrics `metered` tokens of output.
fn session(written: Option<u64>, unwritten: Option<u64>, metered: Option<u64>) -> SessionState {
    let mut state = SessionState::default();
    if let Some(n) = written {
        state.mains.insert(1, Transcript::default());
        state.usage.insert(MODEL.to_owned(), ModelSum { responses: 1, usage: usage(n) });
    }
    if let Some(n) = unwritten {
        let sum = Unwritten { responses: 1, usage: usage(n), unpriced: usage(n), ..Unwritten::default() };
        state.telemetry.unwritten.insert(MODEL.to_owned(), sum);
        state.telemetry.told.has_requests = true;
    }
    if let Some(n) = metered {
        let tokens = Meter::Tokens { model: MODEL.to_owned(), kind: TokenKind::Output };
        state.telemetry.meters.add(tokens, n);
        state.telemetry.meters.add(Meter::Cost { model: MODEL.to_owned() }, 7);
    }
    state
}

#[test]
fn each_token_counts_once_whoever_tells_of_it() {
    use Agent::{ClaudeCode, Codex, Gemini};
    for (agent, written, unwritten, metered, output, reported) in [
        (ClaudeCode, Some(5), None, None, 5, None),
        // A title stands in no transcript.
        (ClaudeCode, Some(5), Some(2), None, 7, None),
        (ClaudeCode, None, Some(2), None, 2, None),
        // What codex and gemini send shares no id with what they write.
        (Codex, Some(5), Some(2), None, 5, None),
        (Codex, None, Some(2), None, 2, None),
        (Gemini, None, Some(2), None, 2, None),
        // Metrics count where no request was told, and cover what the transcript shows.
        (ClaudeCode, None, None, Some(9), 9, Some(7)),
        (ClaudeCode, Some(5), None, Some(9), 9, Some(7)),
        (ClaudeCode, Some(5), None, Some(4), 5, None),
        (ClaudeCode, Some(5), Some(2), Some(9), 7, None),
        (Codex, None, Some(2), Some(9), 2, None),
    ] {
        let spent = spent(&session(written, unwritten, metered), agent);
        let of = spent[MODEL];
        let case = format!("{agent} {written:?} {unwritten:?} {metered:?}");
        assert_eq!((of.usage.output, of.reported_nano), (output, reported), "{case}");
    }
}

#[test]
fn what_was_written_for_an_hour_keeps_its_rate_under_metrics() {
    let mut state = session(Some(5), None, Some(9));
    let written = Usage { cache_write_5m: 10, cache_write_1h: 30, ..usage(5) };
    state.usage.insert(MODEL.to_owned(), ModelSum { responses: 1, usage: written });
    let tokens = Meter::Tokens { model: MODEL.to_owned(), kind: TokenKind::CacheWrite };
    state.telemetry.meters.add(tokens, 50);
    let of = spent(&state, Agent::ClaudeCode)[MODEL];
    assert_eq!((of.usage.cache_write_5m, of.usage.cache_write_1h), (20, 30));
}
