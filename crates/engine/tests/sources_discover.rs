//! Listing of transcripts, hostile trees included; and whole files read on several threads.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

#[path = "sources_support/lines.rs"]
mod lines;

use std::fs;
use std::ops::ControlFlow;
use std::os::unix::fs::symlink;
use std::path::Path;

use lamplight_engine::config::Root;
use lamplight_engine::facts::{FileBatch, Input, IssueKind};
use lamplight_engine::sources::discover::list;
use lamplight_engine::sources::import::import_files;

use crate::lines::{answer, claude_root, codex_root, make_fifo, prompt, put, rollout_start, said, session};

/// What a listing shows, one line each, sorted: `session[/subagent] path`, then issues.
fn check(root: &Root, expected: &[&str]) {
    let listing = list(root, &|_| None).unwrap();
    let home = fs::canonicalize(&root.path).unwrap();
    let inside = |path: &Path| {
        let path = path.strip_prefix(&root.path).or_else(|_| path.strip_prefix(&home)).unwrap();
        path.to_string_lossy().into_owned()
    };
    let mut shown: Vec<String> = listing
        .found
        .iter()
        .map(|f| {
            let end = f.role.session.short().trim_start_matches('0').to_owned();
            let subagent = f.role.subagent.as_ref().map(|s| format!("/{s}")).unwrap_or_default();
            format!("{end}{subagent} {}", inside(&f.path))
        })
        .chain(listing.issues.iter().map(|i| format!("{:?} {}", i.kind, inside(i.path.as_deref().unwrap()))))
        .collect();
    shown.sort();
    let mut expected: Vec<String> = expected.iter().map(|e| (*e).to_owned()).collect();
    expected.sort();
    assert_eq!(shown, expected);
}

fn name(n: u32) -> String {
    format!("{}.jsonl", session(n))
}

#[test]
fn transcripts_of_both_agents_are_listed_by_role() {
    let home = tempfile::tempdir().unwrap();
    let claude = home.path().join("claude");
    put(claude.join("projects/p").join(name(1)), "");
    put(claude.join("projects/q").join(name(2)), "");
    let subagents = claude.join("projects/p").join(session(1).as_str()).join("subagents");
    put(subagents.join("agent-a1.jsonl"), "");
    put(subagents.join("agent-a1.meta.json"), "{}");
    put(claude.join("projects/p/memory/notes.md"), "");
    put(claude.join("sessions/30.0123.key"), "secret");
    put(claude.join("history.jsonl"), "");
    check(
        &claude_root(&claude),
        &[
            &format!("1 projects/p/{}", name(1)),
            &format!("1/a1 projects/p/{}/subagents/agent-a1.jsonl", session(1)),
            &format!("2 projects/q/{}", name(2)),
        ],
    );
    let codex = home.path().join("codex");
    put(codex.join(format!("sessions/2026/11/20/rollout-2026-11-20T12-00-00-{}", name(3))), "");
    put(codex.join(format!("archived_sessions/rollout-2026-01-20T12-00-00-{}", name(4))), "");
    put(codex.join(format!("archived_sessions/rollout-2026-01-20T12-00-00-{}.zst", name(5))), "");
    put(codex.join("session_index.jsonl"), "");
    check(
        &codex_root(&codex),
        &[
            &format!("3 sessions/2026/11/20/rollout-2026-11-20T12-00-00-{}", name(3)),
            &format!("4 archived_sessions/rollout-2026-01-20T12-00-00-{}", name(4)),
            &format!("Compressed archived_sessions/rollout-2026-01-20T12-00-00-{}.zst", name(5)),
        ],
    );
    assert!(list(&claude_root(&home.path().join("absent")), &|_| None).is_none());
}

#[test]
fn a_loose_agent_file_tells_its_session_in_its_first_lines() {
    let home = tempfile::tempdir().unwrap();
    let p = home.path().join("projects/p");
    put(p.join("agent-a1.jsonl"), "{\"type\":\"summary\"}\n".to_owned() + &prompt(&session(7), 1, "x"));
    put(p.join("agent-a2.jsonl"), &prompt(&session(7), 1, "x")[..60]);
    put(p.join("agent-a3.jsonl"), "{\"sessionId\":\"../../etc\"}\n");
    put(p.join("agent-.jsonl"), "");
    check(
        &claude_root(home.path()),
        &[
            "7/a1 projects/p/agent-a1.jsonl",
            "BadId projects/p/agent-a3.jsonl",
            "BadId projects/p/agent-.jsonl",
        ],
    );
}

#[test]
fn hostile_names_and_things_are_counted_and_never_opened() {
    let home = tempfile::tempdir().unwrap();
    let root = home.path().join("root");
    let p = root.join("projects/p");
    put(p.join(name(1)), "");
    put(p.join("$(touch x);.jsonl"), "");
    put(p.join("-rf.jsonl"), "");
    put(p.join("..jsonl"), "");
    fs::create_dir(p.join(name(2))).unwrap();
    make_fifo(&p.join(name(3)));
    drop(std::os::unix::net::UnixListener::bind(p.join("s.jsonl")).unwrap());
    put(home.path().join("outside").join(name(4)), "secret");
    symlink(home.path().join("outside").join(name(4)), p.join(name(4))).unwrap();
    symlink(name(5), p.join(name(5))).unwrap();
    symlink("/dev/zero", p.join(name(6))).unwrap();
    symlink("nowhere", p.join(name(7))).unwrap();
    symlink(home.path().join("outside"), root.join("projects/away")).unwrap();
    symlink("../projects", root.join("projects/round")).unwrap();
    symlink("loop", root.join("projects/loop")).unwrap();
    check(
        &claude_root(&root),
        &[
            &format!("1 projects/p/{}", name(1)),
            "BadId projects/p/$(touch x);.jsonl",
            "BadId projects/p/-rf.jsonl",
            "BadId projects/p/..jsonl",
            &format!("NotAFile projects/p/{}", name(2)),
            &format!("NotAFile projects/p/{}", name(3)),
            "NotAFile projects/p/s.jsonl",
            &format!("OutsideRoot projects/p/{}", name(4)),
            &format!("LinkLoop projects/p/{}", name(5)),
            &format!("OutsideRoot projects/p/{}", name(6)),
            "OutsideRoot projects/away",
            "LinkLoop projects/round",
            "LinkLoop projects/loop",
        ],
    );
}

#[test]
fn a_rollout_needs_its_uuid() {
    let home = tempfile::tempdir().unwrap();
    let day = home.path().join("sessions/2026/11/20");
    put(day.join("rollout-2026-11-20T12-00-00-not-a-uuid.jsonl"), "");
    put(day.join(format!("copy-{}", name(1))), "");
    put(home.path().join("sessions/2026/11/x/rollout.jsonl"), "");
    check(
        &codex_root(home.path()),
        &[
            "BadId sessions/2026/11/20/rollout-2026-11-20T12-00-00-not-a-uuid.jsonl",
            &format!("BadId sessions/2026/11/20/copy-{}", name(1)),
        ],
    );
}

#[test]
fn links_that_stay_inside_are_followed_and_each_file_is_listed_once() {
    let home = tempfile::tempdir().unwrap();
    let real = home.path().join("dotfiles/claude");
    put(real.join("projects/p").join(name(1)), "");
    put(real.join("store").join(name(2)), "");
    symlink(real.join("projects/p").join(name(1)), real.join("projects/p/again.jsonl")).unwrap();
    symlink(real.join("store").join(name(2)), real.join("projects/p").join(name(2))).unwrap();
    symlink("p", real.join("projects/same")).unwrap();
    // The root itself may be a link: people keep their homes in repositories.
    let root = home.path().join(".claude");
    symlink(&real, &root).unwrap();
    let listing = list(&claude_root(&root), &|_| None).unwrap();
    assert_eq!(listing.found.len(), 2, "{:?}", listing.found);
    assert!(listing.issues.is_empty());
}

#[test]
fn whole_files_are_read_in_order_per_file_and_a_broken_sink_stops_the_readers() {
    let home = tempfile::tempdir().unwrap();
    let p = home.path().join("projects/p");
    for n in 1..=20 {
        let s = session(n);
        let content: String =
            (0..200).map(|i| prompt(&s, i, &format!("{n}.{i}")) + &answer(&s, i, "yes")).collect();
        put(p.join(name(n)), content);
    }
    put(p.join(name(21)), "");
    let subagents = p.join(session(1).as_str()).join("subagents");
    put(subagents.join("agent-a1.jsonl"), prompt(&session(1), 1, "sub"));
    put(
        subagents.join("agent-a1.meta.json"),
        r#"{"agentType":"Explore","description":"Look","finished":true}"#,
    );
    let found = list(&claude_root(home.path()), &|_| None).unwrap().found;
    let (mut batches, mut metas) = (Vec::<FileBatch>::new(), 0);
    let imported = import_files(&found, 3, |input| {
        match input {
            Input::Batch(batch) => batches.push(batch),
            Input::SubagentMeta { finished, .. } => metas += u32::from(finished),
            other => panic!("{other:?}"),
        }
        ControlFlow::Continue(())
    });
    assert_eq!((imported.files, metas), (22, 1));
    assert_eq!(imported.bytes, found.iter().map(|f| f.size_bytes).sum::<u64>());
    for n in 1..=20 {
        let prompts: Vec<String> = batches
            .iter()
            .filter(|b| b.role.session == session(n) && b.role.subagent.is_none())
            .flat_map(|b| said(&b.events))
            .filter(|text| text != "yes")
            .collect();
        assert_eq!(prompts, (0..200).map(|i| format!("{n}.{i}")).collect::<Vec<_>>());
    }
    let mut taken = 0;
    let stopped = import_files(&found, 3, |_| {
        taken += 1;
        ControlFlow::Break(())
    });
    assert_eq!(taken, 1);
    assert!(stopped.files < 22);
}

#[test]
fn files_that_cannot_be_read_do_not_stop_an_import() {
    let home = tempfile::tempdir().unwrap();
    let day = home.path().join("sessions/2026/11/20");
    let path = |n: u32| day.join(format!("rollout-2026-11-20T12-00-00-{}", name(n)));
    put(path(1), rollout_start(&session(1)));
    put(path(2), rollout_start(&session(2)));
    put(path(3), rollout_start(&session(3)));
    let found = list(&codex_root(home.path()), &|_| None).unwrap().found;
    fs::remove_file(path(1)).unwrap();
    fs::remove_file(path(2)).unwrap();
    fs::create_dir(path(2)).unwrap();
    let mut read = Vec::new();
    let imported = import_files(&found, 2, |input| {
        if let Input::Batch(batch) = input {
            read.push(batch.role.session);
        }
        ControlFlow::Continue(())
    });
    assert_eq!(read, [session(3)]);
    let issues: Vec<_> = imported.issues.iter().map(|i| i.kind).collect();
    assert_eq!(issues, [IssueKind::NotAFile], "a file that went away in between is no trouble");
}
