//! Records of the agent's side: responses, what was said, calls, how a turn ended.

use lamplight_model::event::{EventKind, Response, Usage};
use lamplight_model::ids::{Agent, SessionId};

use super::wire::{Block, Content, Message, Record, SAID, WireUsage};
use super::{Line, Stamp, call, failure};
use crate::facts::{fact_id, request_id};
use crate::sources::decode::lenient::cut;

impl Line<'_> {
    pub(super) fn assistant(&mut self, mut record: Record<'_>, stamp: Stamp) {
        let message = std::mem::take(&mut record.message);
        if let Some(failure) = failure::failure(&record, &message) {
            return self.ended(stamp, EventKind::TurnFailed(failure));
        }
        let (owner, owner_rank) = self.owner(&record);
        let is_synthetic = message.model.is("<synthetic>");
        if !is_synthetic && let Some(id) = message.id.get().or(record.uuid.get()) {
            self.push(
                stamp,
                EventKind::ResponseReceived(Response {
                    key: fact_id(Agent::ClaudeCode, "message", &[id]),
                    model: message.model.get().map(str::to_owned),
                    usage: usage(&message.usage),
                    owner: owner.clone(),
                    owner_rank,
                    request: record.request.get().map(request_id),
                    cost_nano: None,
                }),
            );
        }
        let mut ends_with_text = false;
        let Message { content, stop_reason, .. } = message;
        match content {
            Content::None => {}
            Content::Text(text) => {
                ends_with_text = true;
                self.spoke(text.get(), is_synthetic, stamp);
            }
            Content::Blocks(blocks) => {
                for block in blocks.0 {
                    ends_with_text = block.kind.is("text");
                    self.block(block, owner.as_ref(), is_synthetic, stamp);
                }
            }
        }
        let ended = match stop_reason.get() {
            Some("end_turn" | "stop_sequence" | "refusal") => true,
            // Old clients wrote lines while the response came in and never said why it stopped: a text may be its last
            // word; a call that follows takes that back.
            None => ends_with_text && !record.is_aborted.0 && record.block_index.0.is_none(),
            Some(_) => false,
        };
        if record.is_aborted.0 {
            self.ended(stamp, EventKind::TurnInterrupted);
        } else if ended && !stamp.sidechain && !is_synthetic {
            self.ended(stamp, EventKind::TurnEnded);
        }
    }

    fn block(&mut self, block: Block<'_>, owner: Option<&SessionId>, is_synthetic: bool, stamp: Stamp) {
        match block.kind.get().unwrap_or_default() {
            "text" => self.spoke(block.text.get(), is_synthetic, stamp),
            "tool_use" => {
                let todos = call::todo_list(&block);
                if let Some(call) = call::tool_call(block, owner.cloned()) {
                    self.push(stamp, EventKind::ToolCalled(call));
                }
                if let Some(change) = todos {
                    self.push(stamp, EventKind::TaskChanged(change));
                }
            }
            _ => {}
        }
    }

    fn spoke(&mut self, text: Option<&str>, is_synthetic: bool, stamp: Stamp) {
        if let Some(text) = text.map(str::trim).filter(|text| !text.is_empty() && !is_synthetic) {
            self.push(stamp, EventKind::AgentSpoke { text: cut(text, SAID).to_owned() });
        }
    }
}

fn usage(wire: &WireUsage<'_>) -> Usage {
    let one_hour = wire.by_age.one_hour.or_zero();
    // What the split does not cover counts as the shorter age, which is what clients without a split wrote.
    let five_minutes =
        wire.written.0.map_or(wire.by_age.five_minutes.or_zero(), |all| all.saturating_sub(one_hour));
    Usage {
        input: wire.input.or_zero(),
        output: wire.output.or_zero(),
        cache_write_5m: five_minutes,
        cache_write_1h: one_hour,
        cache_read: wire.read.or_zero(),
    }
}
