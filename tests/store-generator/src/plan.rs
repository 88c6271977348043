//! Which sessions a store holds, how large each is, and in what order they are written.

use std::path::PathBuf;

use anyhow::Result;

use crate::claude::{Entry, ForkKind, Spawn, Start, Transcript};
use crate::claude_old::OldTranscript;
use crate::clock::Clock;
use crate::codex::old::OldRollout;
use crate::codex::paginated::{Mark, Origin, Rollout};
use crate::ids::{encoded_cwd, uuid};
use crate::json::{Lines, escape};
use crate::rng::{Rng, whole};
use crate::store::Store;
use crate::text::Pool;
use crate::truth::Truth;

/// The end of time in a store, unless the request says otherwise: 2026-11-18T12:00:00Z.
pub const DEFAULT_UNTIL_MS: u64 = 1_795_003_200_000;

const DAY_MS: u64 = 86_400_000;
/// Spread of file sizes: half are small, a few in two thousand reach tens of megabytes.
const SIZE_SIGMA: f64 = 1.9;
const LARGEST_FILE: f64 = 64.0 * 1024.0 * 1024.0;
/// Forks copy their parent; of a giant they would copy the store.
const LARGEST_FORKED: usize = 6 << 20;
/// Claude Code writes 100–170 KB of prompt and schemas into each file; in a store of smaller files that is scaled down.
const FULL_BULK_MEAN_BYTES: u64 = 400_000;

/// A family of transcript shapes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Claude Code 2.1.
    Claude,
    /// Claude Code 1.x.
    ClaudeOld,
    /// Codex 0.169.
    Codex,
    /// Codex 0.42 to 0.125.
    CodexOld,
}

impl Family {
    /// All of them, with the share of stores each has, in hundredths.
    pub const ALL: [(Self, u64); 4] =
        [(Self::Claude, 60), (Self::ClaudeOld, 12), (Self::Codex, 18), (Self::CodexOld, 10)];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Claude => "claude",
            Self::ClaudeOld => "claude-old",
            Self::Codex => "codex",
            Self::CodexOld => "codex-old",
        }
    }
}

/// What to write, and where.
#[derive(Debug, Clone)]
pub struct Request {
    /// The home folder that gets `.claude` and `.codex`.
    pub home: PathBuf,
    /// Bytes of transcripts wanted; reached within a few per cent.
    pub bytes: u64,
    /// Number of transcripts, subagents' included; reached exactly.
    pub files: u64,
    /// Decides everything else.
    pub seed: u64,
    /// Write a space after each `:` and `,`.
    pub spaced: bool,
    /// No record is later than this.
    pub until_ms: u64,
    /// Which shapes to write.
    pub families: Vec<Family>,
}

/// What was written.
#[derive(Debug)]
pub struct Report {
    /// The true totals.
    pub truth: Truth,
    /// Bytes of transcripts.
    pub bytes: u64,
    /// Number of transcripts.
    pub files: u64,
}

/// Writes the store.
pub fn generate(request: &Request) -> Result<Report> {
    let mut rng = Rng::from_seed(request.seed);
    let pool = Pool::new(&mut rng.fork());
    let mut sizes: Vec<f64> = (0..request.files).map(|_| rng.log_normal(1.0, SIZE_SIGMA)).collect();
    // Small files come out larger than asked (a session has at least one turn), so the large ones follow, largest
    // first: they have room to make up for it, and what the last of them misses is little.
    sizes.sort_by(|a, b| b.total_cmp(a));
    let large = sizes.len() / 20;
    for index in (large + 1..sizes.len()).rev() {
        sizes.swap(index, large + rng.index(index + 1 - large));
    }
    sizes.rotate_left(large);
    let mut writer = Writer {
        request,
        pool: &pool,
        rng,
        store: Store::at(&request.home, request.spaced),
        truth: Truth::default(),
        next_size: 0,
        weight_left: sizes.iter().sum(),
        sizes,
        claude_history: Lines::default(),
        codex_history: Lines::default(),
        codex_index: Lines::default(),
    };
    writer.all()?;
    Ok(Report { truth: writer.truth, bytes: writer.store.bytes, files: writer.store.files })
}

struct Writer<'a> {
    request: &'a Request,
    pool: &'a Pool,
    rng: Rng,
    store: Store,
    truth: Truth,
    sizes: Vec<f64>,
    next_size: usize,
    weight_left: f64,
    claude_history: Lines,
    codex_history: Lines,
    codex_index: Lines,
}

const PROJECTS: &[&str] = &[
    "atlas",
    "beacon",
    "copper.api",
    "delta-web",
    "ember",
    "fjord",
    "garnet",
    "harbor_ui",
    "indigo",
    "juniper",
    "kelp",
    "lantern",
    "monorepo/packages/core",
    "nimbus",
    "orchid",
    "paper trail",
    "quartz",
    "raven",
    "Straße",
    "tundra",
];

const CLAUDE_MODELS: &[&str] = &["claude-opus-5-5", "claude-sonnet-5", "claude-haiku-4-5-20251001"];
const CODEX_MODELS: &[&str] = &["gpt-5.5", "gpt-5.5-codex", "gpt-5.1-codex-mini"];
const NICKNAMES: &[&str] = &["Einstein", "Faraday", "Curie", "Noether"];

impl<'a> Writer<'a> {
    fn all(&mut self) -> Result<()> {
        while self.files_left() > 0 {
            match self.family() {
                Family::Claude if self.rng.chance(20) => self.empty_claude()?,
                Family::Claude => self.claude()?,
                Family::ClaudeOld => self.claude_old()?,
                Family::Codex => self.codex()?,
                Family::CodexOld => self.codex_old()?,
            }
        }
        let until = self.request.until_ms;
        if !self.claude_history.is_empty() {
            self.store.beside(".claude/history.jsonl", self.claude_history.bytes(), until)?;
            self.store.folder(".claude/sessions")?;
        }
        if !self.codex_history.is_empty() {
            self.store.beside(".codex/history.jsonl", self.codex_history.bytes(), until)?;
        }
        if !self.codex_index.is_empty() {
            self.store.beside(".codex/session_index.jsonl", self.codex_index.bytes(), until)?;
        }
        Ok(())
    }

    fn files_left(&self) -> u64 {
        self.request.files - self.store.files
    }

    fn family(&mut self) -> Family {
        let wanted: Vec<(Family, u64)> =
            Family::ALL.into_iter().filter(|(family, _)| self.request.families.contains(family)).collect();
        let sum: u64 = wanted.iter().map(|(_, share)| share).sum();
        let mut draw = self.rng.below(sum);
        for (family, share) in wanted {
            if draw < share {
                return family;
            }
            draw -= share;
        }
        Family::Claude
    }

    /// The size of the next file, corrected for what earlier files came out at.
    fn target(&mut self) -> usize {
        let weight = self.sizes.get(self.next_size).copied().unwrap_or(0.0);
        self.next_size += 1;
        let left = self.request.bytes.saturating_sub(self.store.bytes);
        let target = weight / self.weight_left.max(weight).max(f64::MIN_POSITIVE) * exact(left);
        self.weight_left -= weight;
        whole(target.min(LARGEST_FILE))
    }

    fn clock(&mut self, target: usize) -> Clock {
        // Recent weeks are the fullest; large files need days.
        let days = self.rng.log_normal(9.0, 1.3).min(380.0);
        let age = (whole(days * 86_400.0) as u64) * 1000 + (target as u64 / 400_000) * DAY_MS / 4;
        Clock::from_start(self.request.until_ms.saturating_sub(age), self.request.until_ms)
    }

    fn cwd(&mut self) -> String {
        format!("/home/dev/projects/{}", self.rng.pick(PROJECTS))
    }

    fn bulk_per_mille(&self) -> u64 {
        let mean = self.request.bytes / self.request.files.max(1);
        (mean * 1000 / FULL_BULK_MEAN_BYTES).clamp(20, 1000)
    }

    // ---- Claude Code 2.1

    fn claude(&mut self) -> Result<()> {
        let target = self.target();
        let entry = match self.rng.below(10) {
            0..=5 => Entry::Interactive,
            6..=8 => Entry::Print,
            _ => Entry::Background,
        };
        let start = Start {
            pool: self.pool,
            rng: self.rng.fork(),
            id: uuid(&mut self.rng),
            entry,
            cwd: self.cwd(),
            branch: self.rng.pick(&["main", "feature/tail", "HEAD", "fix-\"quotes\"", ""]).to_owned(),
            model: self.rng.pick(CLAUDE_MODELS),
            clock: self.clock(target),
            bulk_per_mille: self.bulk_per_mille(),
        };
        let cwd = start.cwd.clone();
        let mut session = Transcript::new(start);
        let mut room = self.files_left() - 1;
        let agents = if self.rng.chance(180) { self.rng.range(1, 5).min(room) } else { 0 };
        room -= agents;
        let fork = match self.rng.below(100) {
            _ if room == 0 => None,
            0..=3 => Some(ForkKind::ForkSession),
            4 | 5 if entry == Entry::Interactive => Some(ForkKind::Branch),
            6..=8 if entry == Entry::Interactive => Some(ForkKind::Background),
            _ => None,
        };
        let is_parent_deleted = fork == Some(ForkKind::ForkSession) && agents == 0 && self.rng.chance(200);

        // A third of the agents is started by an agent, not by the session.
        let nested_count = if agents > 1 { agents / 3 } else { 0 };
        let mut waiting: Vec<Spawn> = (0..agents - nested_count).map(|_| session.plan_spawn()).collect();
        let mut spawned = Vec::new();
        loop {
            let now = if waiting.is_empty() {
                Vec::new()
            } else {
                waiting.split_off(waiting.len().saturating_sub(2))
            };
            spawned.extend(session.turn(&mut self.truth, now, rounds(target)));
            if session.len() >= target && waiting.is_empty() {
                break;
            }
        }
        let fork = fork.filter(|_| session.len() < LARGEST_FORKED);
        let fork = fork.map(|kind| (kind, session.fork(kind, uuid(&mut self.rng), self.rng.fork())));
        match &fork {
            Some((ForkKind::Background, other)) => {
                session.cost_state();
                session.continued_in(&other.id);
            }
            None if self.rng.chance(40) => session.leave_call_open(&mut self.truth),
            _ if self.rng.chance(800) => session.cost_state(),
            _ => {}
        }
        let folder = format!(".claude/projects/{}", encoded_cwd(&cwd));
        let has_fork = fork.is_some();
        if !(is_parent_deleted && has_fork) {
            self.write_claude(&folder, &session)?;
        }
        self.write_agents(&folder, &mut session, spawned, nested_count)?;
        if let Some((_, mut fork)) = fork {
            let target = fork.len() + self.target() / 4;
            loop {
                fork.turn(&mut self.truth, Vec::new(), rounds(target));
                if fork.len() >= target {
                    break;
                }
            }
            fork.cost_state();
            self.write_claude(&folder, &fork)?;
            if self.files_left() > 0 && fork.len() < LARGEST_FORKED && self.rng.chance(250) {
                // A fork of a fork: copied lines keep the session that asked for them.
                let mut second = fork.fork(ForkKind::ForkSession, uuid(&mut self.rng), self.rng.fork());
                self.target();
                second.turn(&mut self.truth, Vec::new(), rounds(target));
                self.write_claude(&folder, &second)?;
            }
        }
        if self.rng.chance(300) {
            self.store.folder(&format!("{folder}/memory"))?;
        }
        Ok(())
    }

    fn write_claude(&mut self, folder: &str, session: &Transcript<'_>) -> Result<()> {
        self.truth.sessions += 1;
        for (at_ms, text) in &session.typed {
            let l = &mut self.claude_history;
            l.begin();
            l.text("display", text);
            l.raw("pastedContents", "{}");
            l.int("timestamp", *at_ms);
            l.text("project", &escape(folder));
            l.text("sessionId", &session.id);
            l.end();
        }
        self.store.transcript(&format!("{folder}/{}.jsonl", session.id), session.bytes(), session.clock.ms())
    }

    fn write_agents(
        &mut self,
        folder: &str,
        session: &mut Transcript<'a>,
        spawned: Vec<Spawn>,
        nested: u64,
    ) -> Result<()> {
        let mut nested_left = nested;
        for spawn in spawned {
            let target = self.target();
            let mut agent = session.subagent(&spawn, self.rng.fork(), self.request.until_ms);
            let inner = if nested_left > 0 { vec![agent.plan_spawn()] } else { Vec::new() };
            nested_left -= inner.len() as u64;
            let inner = self.agent_turns(&mut agent, target, inner);
            let meta = session.meta(&spawn, None, 1);
            self.write_agent(folder, &agent, &spawn, &meta)?;
            for spawn_inner in inner {
                let target = self.target();
                let mut deep = agent.subagent(&spawn_inner, self.rng.fork(), self.request.until_ms);
                self.agent_turns(&mut deep, target, Vec::new());
                let meta = agent.meta(&spawn_inner, Some(&spawn.agent_id), 2);
                self.write_agent(folder, &deep, &spawn_inner, &meta)?;
            }
        }
        Ok(())
    }

    fn agent_turns(&mut self, agent: &mut Transcript<'a>, target: usize, inner: Vec<Spawn>) -> Vec<Spawn> {
        let started = agent.turn(&mut self.truth, inner, rounds(target));
        while agent.len() < target {
            agent.turn(&mut self.truth, Vec::new(), rounds(target));
        }
        started
    }

    fn write_agent(
        &mut self,
        folder: &str,
        agent: &Transcript<'_>,
        spawn: &Spawn,
        meta: &[u8],
    ) -> Result<()> {
        self.truth.subagents += 1;
        let base = format!("{folder}/{}/subagents/agent-{}", agent.id, spawn.agent_id);
        self.store.beside(&format!("{base}.meta.json"), meta, agent.clock.ms())?;
        self.store.transcript(&format!("{base}.jsonl"), agent.bytes(), agent.clock.ms())
    }

    /// A session that has a file and said nothing: sometimes no byte at all, sometimes only a title.
    fn empty_claude(&mut self) -> Result<()> {
        self.target();
        let cwd = self.cwd();
        let start = Start {
            pool: self.pool,
            rng: self.rng.fork(),
            id: uuid(&mut self.rng),
            entry: Entry::Interactive,
            cwd: cwd.clone(),
            branch: "main".to_owned(),
            model: "claude-opus-5-5",
            clock: self.clock(0),
            bulk_per_mille: 0,
        };
        let mut session = Transcript::new(start);
        if self.rng.chance(800) {
            session.ai_title();
        }
        self.write_claude(&format!(".claude/projects/{}", encoded_cwd(&cwd)), &session)
    }

    // ---- Claude Code 1.x

    fn claude_old(&mut self) -> Result<()> {
        let target = self.target();
        let cwd = self.cwd();
        let folder = format!(".claude/projects/{}", encoded_cwd(&cwd));
        let (id, rng, clock) = (uuid(&mut self.rng), self.rng.fork(), self.clock(target));
        let mut session = OldTranscript::new(self.pool, rng, id, cwd, clock);
        for _ in 0..self.rng.below(3) {
            session.summary();
        }
        let agents = if session.has_agent_files() { self.rng.below(3).min(self.files_left() - 1) } else { 0 };
        loop {
            let sidechain = !session.has_agent_files() && self.rng.chance(150);
            session.turn(&mut self.truth, sidechain, rounds(target));
            if session.bytes().len() >= target {
                break;
            }
        }
        for _ in 0..agents {
            let target = self.target();
            let (agent_id, mut agent) = session.subagent();
            loop {
                agent.turn(&mut self.truth, false, rounds(target));
                if agent.bytes().len() >= target {
                    break;
                }
            }
            self.truth.subagents += 1;
            self.store.transcript(
                &format!("{folder}/agent-{agent_id}.jsonl"),
                agent.bytes(),
                agent.clock.ms(),
            )?;
        }
        self.truth.sessions += 1;
        self.store.transcript(
            &format!("{folder}/{}.jsonl", session.id),
            session.bytes(),
            session.clock.ms(),
        )?;
        if self.files_left() > 0 && session.bytes().len() < LARGEST_FORKED && self.rng.chance(60) {
            self.target();
            let mut copy = session.resumed_copy(uuid(&mut self.rng), self.rng.fork());
            copy.turn(&mut self.truth, false, rounds(target));
            self.truth.sessions += 1;
            self.store.transcript(&format!("{folder}/{}.jsonl", copy.id), copy.bytes(), copy.clock.ms())?;
        }
        Ok(())
    }

    // ---- Codex

    fn codex(&mut self) -> Result<()> {
        let target = self.target();
        let origin = if self.rng.chance(300) { Origin::Exec } else { Origin::Terminal };
        let model = self.rng.pick(CODEX_MODELS);
        let bulk = self.bulk_per_mille();
        let (rng, cwd, clock) = (self.rng.fork(), self.cwd(), self.clock(target));
        let mut thread = Rollout::new(self.pool, rng, origin, cwd.clone(), model, clock, bulk);
        let started = thread.clock;
        let room = self.files_left() - 1;
        let child_count = if self.rng.chance(120) { self.rng.range(1, 3).min(room) } else { 0 };
        let mut children = Vec::new();
        for _ in 0..child_count {
            let nickname = self.rng.pick(NICKNAMES);
            let origin =
                Origin::Subagent { root: thread.thread.clone(), parent: thread.thread.clone(), nickname };
            children.push((
                nickname,
                Rollout::new(self.pool, self.rng.fork(), origin, cwd.clone(), model, thread.clock, bulk),
            ));
        }
        let names: Vec<(String, &'static str)> =
            children.iter().map(|(nickname, child)| (child.thread.clone(), *nickname)).collect();
        thread.turn(&mut self.truth, &names, rounds(target));
        let mut marks: Vec<Mark> = vec![thread.mark()];
        while thread.bytes().len() < target {
            thread.turn(&mut self.truth, &[], rounds(target));
            marks.push(thread.mark());
        }
        for (_, mut child) in children {
            let target = self.target();
            let started = child.clock;
            loop {
                child.turn(&mut self.truth, &[], rounds(target));
                if child.bytes().len() >= target {
                    break;
                }
            }
            self.truth.subagents += 1;
            self.store.transcript(
                &crate::codex::path(&started, &child.thread, false),
                child.bytes(),
                child.clock.ms(),
            )?;
        }
        let is_archived = self.rng.chance(100);
        self.write_codex(&started, &thread, is_archived)?;
        if self.files_left() > 0 && self.rng.chance(60) {
            let mark = marks[self.rng.index(marks.len())];
            let origin = Origin::Fork {
                parent: thread.thread.clone(),
                end_ordinal: mark.ordinal,
                end_byte_offset: self.store.length_on_disk(&thread.bytes()[..mark.bytes]),
                total: mark.total,
            };
            let target = self.target();
            let mut fork = Rollout::new(self.pool, self.rng.fork(), origin, cwd, model, thread.clock, bulk);
            let started = fork.clock;
            loop {
                fork.turn(&mut self.truth, &[], rounds(target));
                if fork.bytes().len() >= target {
                    break;
                }
            }
            self.write_codex(&started, &fork, false)?;
        }
        Ok(())
    }

    fn write_codex(&mut self, started: &Clock, thread: &Rollout<'_>, is_archived: bool) -> Result<()> {
        self.truth.sessions += 1;
        for (at_s, text) in &thread.typed {
            let l = &mut self.codex_history;
            l.begin();
            l.text("session_id", &thread.thread);
            l.int("ts", *at_s);
            l.text("text", text);
            l.end();
        }
        if self.rng.chance(200) {
            let name = Pool::words(&mut self.rng, 3);
            let l = &mut self.codex_index;
            l.begin();
            l.text("id", &thread.thread);
            l.text("thread_name", &name);
            l.text("updated_at", &thread.clock.iso());
            l.end();
        }
        self.store.transcript(
            &crate::codex::path(started, &thread.thread, is_archived),
            thread.bytes(),
            thread.clock.ms(),
        )
    }

    fn codex_old(&mut self) -> Result<()> {
        let target = self.target();
        let (rng, cwd, clock) = (self.rng.fork(), self.cwd(), self.clock(target));
        let mut thread = OldRollout::new(self.pool, rng, cwd, clock);
        let started = thread.clock;
        loop {
            thread.turn(&mut self.truth, rounds(target));
            if thread.bytes().len() >= target {
                break;
            }
        }
        self.truth.sessions += 1;
        self.store.transcript(
            &crate::codex::path(&started, &thread.thread, false),
            thread.bytes(),
            thread.clock.ms(),
        )
    }
}

/// Most rounds of tools in a turn of a file of `target` bytes, so that a small file need not hold a long turn.
fn rounds(target: usize) -> usize {
    (target / 12_000).clamp(1, 40)
}

/// A byte count as a float; counts here stay far below 2^53.
#[expect(clippy::cast_precision_loss, reason = "a store has fewer than 2^53 bytes")]
fn exact(bytes: u64) -> f64 {
    bytes as f64
}
