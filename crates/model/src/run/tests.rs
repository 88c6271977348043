use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::ids::Agent;

#[derive(Debug, Clone)]
struct Member {
    key: SessionKey,
    parent: Option<SessionId>,
    started_at: Option<Timestamp>,
}

fn member(agent: Agent, id: &str, parent: Option<&str>, started_at: Option<i64>) -> Member {
    Member {
        key: SessionKey { agent, id: SessionId::new(id).unwrap() },
        parent: parent.map(|id| SessionId::new(id).unwrap()),
        started_at: started_at.map(Timestamp),
    }
}

fn places(members: &[Member]) -> Vec<Place> {
    let spawned: Vec<Spawned<'_>> = members
        .iter()
        .map(|m| Spawned { key: &m.key, parent: m.parent.as_ref(), started_at: m.started_at })
        .collect();
    tree(&spawned)
}

/// The tree as indented lines.
fn drawn(members: &[Member]) -> String {
    let line = |place: &Place| {
        let indent = "  ".repeat(usize::try_from(place.depth).unwrap());
        format!("{indent}{}\n", members[place.member].key)
    };
    places(members).iter().map(line).collect()
}

const CLAUDE: Agent = Agent::ClaudeCode;

#[test]
fn members_are_indented_by_declared_parent_in_the_order_of_their_start_a129_a132_a227() {
    let members = [
        member(CLAUDE, "late", Some("lead"), Some(30)),
        member(CLAUDE, "undated", Some("lead"), None),
        member(CLAUDE, "grandchild", Some("early"), Some(25)),
        member(CLAUDE, "lead", None, Some(10)),
        member(CLAUDE, "early", Some("lead"), Some(20)),
        member(CLAUDE, "stray", Some("never-heard-of"), Some(5)),
    ];
    assert_eq!(
        drawn(&members),
        "claude-code:stray\nclaude-code:lead\n  claude-code:early\n    claude-code:grandchild\n  \
         claude-code:late\n  claude-code:undated\n"
    );
}

#[test]
fn circles_and_members_that_name_themselves_are_harmless() {
    let members = [
        member(CLAUDE, "self", Some("self"), Some(1)),
        member(CLAUDE, "b", Some("a"), Some(3)),
        member(CLAUDE, "c", Some("b"), Some(4)),
        member(CLAUDE, "a", Some("c"), Some(5)),
        member(CLAUDE, "tail", Some("c"), Some(2)),
    ];
    assert_eq!(
        drawn(&members),
        "claude-code:self\nclaude-code:b\n  claude-code:c\n    claude-code:tail\n    claude-code:a\n",
        "b started first of the circle"
    );
}

#[test]
fn a_parent_of_another_agent_counts_and_the_own_agents_comes_first() {
    let members = [
        member(Agent::Codex, "lead", None, Some(1)),
        member(CLAUDE, "lead", None, Some(2)),
        member(CLAUDE, "worker", Some("lead"), Some(3)),
        member(Agent::Codex, "other", Some("worker"), Some(4)),
    ];
    assert_eq!(drawn(&members), "codex:lead\nclaude-code:lead\n  claude-code:worker\n    codex:other\n");
}

#[test]
fn a_chain_of_ten_thousand_is_no_trouble() {
    let members: Vec<Member> = (0..10_000)
        .map(|i: i64| {
            let parent = (i > 0).then(|| format!("s{}", i - 1));
            member(CLAUDE, &format!("s{i}"), parent.as_deref(), Some(-i))
        })
        .collect();
    let places = places(&members);
    assert_eq!(places.len(), 10_000);
    assert_eq!(places.last().map(|p| p.depth), Some(9_999));
}

fn some_members() -> impl Strategy<Value = Vec<Member>> {
    let one = (any::<bool>(), proptest::option::of(0..14usize), proptest::option::of(0..6i64));
    proptest::collection::vec(one, 0..12).prop_map(|all| {
        let name = |i: usize| format!("s{i}");
        all.into_iter()
            .enumerate()
            .map(|(i, (codex, parent, at))| {
                let agent = if codex { Agent::Codex } else { CLAUDE };
                member(agent, &name(i), parent.map(name).as_deref(), at)
            })
            .collect()
    })
}

proptest! {
    #![proptest_config(crate::cases::config(256))]

    #[test]
    fn every_member_has_one_place_below_its_parent_whatever_is_declared(members in some_members()) {
        let places = places(&members);
        let mut depth_of: BTreeMap<usize, u32> = BTreeMap::new();
        for place in &places {
            match place.parent {
                None => prop_assert_eq!(place.depth, 0),
                Some(parent) => {
                    prop_assert_eq!(depth_of.get(&parent).map(|d| d + 1), Some(place.depth), "parents come first");
                    prop_assert_eq!(Some(&members[parent].key.id), members[place.member].parent.as_ref());
                }
            }
            prop_assert!(depth_of.insert(place.member, place.depth).is_none(), "once");
        }
        prop_assert_eq!(depth_of.len(), members.len());
        // A declared parent that is a member is missed by one member of each circle, and by nobody else.
        for place in places.iter().filter(|p| p.parent.is_none()) {
            let mut seen = vec![place.member];
            let mut at = place.member;
            while let Some(up) = members.iter().position(|m| Some(&m.key.id) == members[at].parent.as_ref()) {
                if up == place.member {
                    break;
                }
                prop_assert!(!seen.contains(&up), "it hangs on a circle and stands at the top all the same");
                seen.push(up);
                at = up;
            }
            let ends_at_itself = members[at].parent.as_ref() == Some(&members[place.member].key.id);
            let is_member = |id: &SessionId| members.iter().any(|m| m.key.id == *id);
            prop_assert!(ends_at_itself || !members[place.member].parent.as_ref().is_some_and(is_member));
        }
    }

    #[test]
    fn the_tree_does_not_depend_on_the_order_members_are_given_in(
        (members, mixed) in some_members().prop_flat_map(|m| (Just(m.clone()), Just(m).prop_shuffle()))
    ) {
        prop_assert_eq!(drawn(&members), drawn(&mixed));
    }
}

fn card(id: &str, change: impl FnOnce(&mut serde_json::Value)) -> SessionCard {
    let mut json = serde_json::json!({
        "agent": "claude-code", "session_id": id, "kind": "coding", "entry": "print", "project": "api", "label": id,
        "label_source": "short_id", "label_default": id, "cwd": null, "branch": null, "model": null,
        "turn_state": "ended", "turn_state_since_ms": null, "waiting_for": null, "lifecycle": "closed",
        "liveness": {"state": "dead", "source": null, "observed_at_ms": null}, "last_speaker": null,
        "last_speaker_at_ms": null, "started_at_ms": null, "last_activity_at_ms": null, "ended_at_ms": null,
        "excerpt": null, "doing": null, "todos": null, "tokens": null, "tool_calls": 0, "errors": 0, "cost_usd": null,
        "cost_source": null, "context": {"used": null, "window": null, "source": null},
        "subagents": {"running": 0, "total": 0}, "attention": null, "causes": [], "git": null,
        "resume": {"command": null, "state": "unsupported", "reason": null}, "pid": null, "run_id": "r",
        "parent_session_id": null, "superseded_by": null, "evidence": []
    });
    change(&mut json);
    serde_json::from_value(json).unwrap()
}

#[test]
fn sums_are_of_what_is_known_and_say_what_is_not_a129_a133() {
    let tokens = |n: u64| serde_json::json!({"input": n, "output": 2, "cache_write_5m": 3, "cache_write_1h": 4, "cache_read": 5});
    let reported = card("a", |c| {
        c["tokens"] = tokens(1);
        c["cost_usd"] = 0.5.into();
        c["cost_source"] = "reported".into();
        c["started_at_ms"] = 20.into();
        c["last_activity_at_ms"] = 90.into();
        c["tool_calls"] = 3.into();
        c["turn_state"] = "working".into();
    });
    let by_table = card("b", |c| {
        c["tokens"] = tokens(10);
        c["cost_usd"] = 0.25.into();
        c["cost_source"] = "table".into();
        c["started_at_ms"] = 10.into();
        c["last_activity_at_ms"] = 50.into();
        c["turn_state"] = "crashed".into();
        c["causes"] = serde_json::json!([{"tier": 2, "cause": "crashed", "cause_id": "1", "since_ms": 1,
            "snoozed_until_ms": null, "until_change": false, "notified_at_ms": null}]);
    });
    let unpriced = card("c", |c| c["tokens"] = tokens(100));
    let unused = card("d", |_| {});
    let hidden = card("e", |c| {
        c["tokens"] = tokens(1000);
        c["cost_usd"] = 1.0.into();
        c["cost_source"] = "table".into();
        c["tool_calls"] = 4.into();
        c["turn_state"] = "working".into();
    });
    let members = [reported.clone(), by_table, unpriced, unused.clone()];
    let sum = sums("r", &members, &[hidden]);
    assert_eq!((sum.members, sum.running, sum.needs_you, sum.failed), (4, 1, 1, 1));
    assert_eq!((sum.started_at_ms, sum.last_activity_at_ms), (Some(10), Some(90)));
    assert_eq!(sum.tokens.map(|t| (t.input, t.output, t.cache_read)), Some((1111, 8, 20)));
    assert_eq!(sum.tool_calls, 7);
    assert_eq!((sum.cost_usd, sum.cost_source), (Some(1.75), Some(CostSource::Mixed)));
    assert_eq!(sum.unpriced, 1, "what used nothing misses nothing");
    assert_eq!(sum.project.as_deref(), Some("api"));

    let one = sums("r", std::slice::from_ref(&reported), &[]);
    assert_eq!(one.cost_source, Some(CostSource::Reported));
    let none = sums("r", &[unused], &[]);
    assert_eq!((none.tokens, none.cost_usd, none.cost_source, none.unpriced), (None, None, None, 0));
    let elsewhere = card("f", |c| c["project"] = "web".into());
    assert_eq!(sums("r", &[reported, elsewhere], &[]).project, None, "members of two projects");
}
