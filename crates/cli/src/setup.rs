//! `lamp setup`: shows what it would change, asks, and changes it; with `--undo` takes it back.

use std::io::{self, BufRead, IsTerminal};
use std::path::{Path, PathBuf};

use anyhow::Context;
use lamplight_engine::config::Config;
use lamplight_engine::setup::{self, Plan, Wish};
use lamplight_model::view::{
    SetupAgentState, SetupChange, SetupChoices, SetupDone, SetupFile, SetupLineKind, SetupOutcome,
    SetupStatus,
};
use serde_json::json;

use crate::args::SetupArgs;
use crate::page::Look;
use crate::plain::plain;
use crate::{WrongUsage, output};

pub(crate) fn run(config: &Config, args: &SetupArgs) -> anyhow::Result<()> {
    if args.undo { undo(config, args) } else { connect(config, args) }
}

fn connect(config: &Config, args: &SetupArgs) -> anyhow::Result<()> {
    let asks = !args.yes && !args.dry_run && !args.json && is_terminal();
    let root = std::env::current_dir().ok().and_then(|dir| setup::repository(&dir));
    let wish = Wish {
        choices: SetupChoices {
            agents: args.agents.clone(),
            hooks: !args.no_hooks,
            telemetry: !args.no_telemetry,
            shell: !args.no_shell,
        },
        project: project(config, args, root.as_deref(), asks)?,
        project_root: root,
    };
    let plan = setup::plan(&config.setup, &wish);
    if args.json {
        let done = if args.yes { Some(apply(&plan)?) } else { None };
        output::print_json(&json!({ "plan": plan.view(), "done": done }))?;
        return if plan.is_empty() || args.yes || args.dry_run { Ok(()) } else { Err(not_asked("--yes")) };
    }
    let screen = Screen::new(config.setup.home.clone());
    output::print(&screen.plan(&plan))?;
    if plan.is_empty() || args.dry_run {
        return Ok(());
    }
    if !args.yes {
        if !asks {
            return Err(not_asked("--yes"));
        }
        if !agreed("Apply? [y/N] ")? {
            return output::print("Nothing was changed.\n");
        }
    }
    let done = apply(&plan)?;
    output::print(&screen.done(
        &done,
        "Set up. New terminals and newly started agents use it; `lamp setup --undo` takes it all back.",
    ))
}

fn apply(plan: &Plan) -> anyhow::Result<SetupDone> {
    Ok(setup::apply(plan, &plan.digest())?)
}

fn undo(config: &Config, args: &SetupArgs) -> anyhow::Result<()> {
    let data_dir = &config.setup.data_dir;
    let screen = Screen::new(config.setup.home.clone());
    let written = setup::written(data_dir, &args.agents);
    if args.json {
        let done = if args.yes { Some(setup::undo(data_dir, &args.agents)?) } else { None };
        output::print_json(&json!({ "written": written, "done": done }))?;
        done.as_ref().map_or(Ok(()), all_undone)?;
        return if written.is_empty() || args.yes || args.dry_run { Ok(()) } else { Err(not_asked("--yes")) };
    }
    if written.is_empty() {
        return output::print("There is nothing to undo.\n");
    }
    let mut text = "Set-up changed these files, and would make them what they were:\n".to_owned();
    for path in &written {
        text.push_str(&format!("  {}\n", screen.path(path)));
    }
    output::print(&text)?;
    if args.dry_run {
        return Ok(());
    }
    if !args.yes {
        if !is_terminal() {
            return Err(not_asked("--undo --yes"));
        }
        if !agreed("Undo? [y/N] ")? {
            return output::print("Nothing was changed.\n");
        }
    }
    let done = setup::undo(data_dir, &args.agents)?;
    let failed = all_undone(&done);
    let end = match &failed {
        Ok(()) => "Undone. Open terminals keep the wrapper until they are closed.",
        Err(_) => "What could be undone is undone.",
    };
    output::print(&screen.done(&done, end))?;
    failed
}

/// An error when a file could not be dealt with: what is Lamplight's is in it still.
fn all_undone(done: &SetupDone) -> anyhow::Result<()> {
    match done.files.iter().filter(|file| file.outcome == SetupOutcome::Failed).count() {
        0 => Ok(()),
        failed => {
            anyhow::bail!("not undone: {failed} of {} files; run it again when they can be", done.files.len())
        }
    }
}

/// The project to set: given, asked for, or none.
fn project(
    config: &Config,
    args: &SetupArgs,
    root: Option<&Path>,
    asks: bool,
) -> anyhow::Result<Option<String>> {
    let Some(root) = root else {
        return match &args.project {
            Some(_) => {
                Err(WrongUsage("--project names the project of a repository; run it inside one".to_owned())
                    .into())
            }
            None => Ok(None),
        };
    };
    if let Some(given) = &args.project {
        let name = given.trim();
        if name.is_empty() {
            return Err(WrongUsage("--project needs a name".to_owned()).into());
        }
        return Ok(Some(name.to_owned()));
    }
    if args.no_project || !asks {
        return Ok(None);
    }
    let repository = root.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let known =
        [root.to_str().unwrap_or_default(), &repository].into_iter().find_map(|key| config.projects.get(key));
    let default = known.cloned().unwrap_or_else(|| repository.clone());
    let answer = ask(&format!("Project of sessions in {} [{}]: ", plain(&repository), plain(&default)))?;
    let answer = answer.trim();
    Ok(Some(if answer.is_empty() { default } else { answer.to_owned() }))
}

fn not_asked(flags: &str) -> anyhow::Error {
    WrongUsage(format!(
        "nothing was changed, because nobody can be asked here. To go on, run `lamp setup {flags}`"
    ))
    .into()
}

/// Whether somebody can be asked.
pub(crate) fn is_terminal() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// Asks; only a yes is one.
pub(crate) fn agreed(question: &str) -> anyhow::Result<bool> {
    let answer = ask(question)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

fn ask(question: &str) -> anyhow::Result<String> {
    output::print(question)?;
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).context("cannot read the answer")?;
    if line.is_empty() {
        output::print("\n")?;
    }
    Ok(line)
}

/// Writes plans and outcomes for a person.
struct Screen {
    home: Option<PathBuf>,
    colours: bool,
}

impl Screen {
    fn new(home: Option<PathBuf>) -> Self {
        Self { home, colours: Look::of_stdout().colour }
    }

    fn plan(&self, plan: &Plan) -> String {
        let view = plan.view();
        let mut out = String::new();
        for change in &view.changes {
            out.push_str(&self.change(change));
        }
        for agent in &view.agents {
            let is_changing = view.changes.iter().any(|change| change.agent == Some(agent.agent));
            out.push_str(&self.agent(agent, is_changing));
        }
        for note in &view.notes {
            out.push_str(&format!("{}\n", self.prose(note)));
        }
        let files = view.changes.len();
        out.push_str(&match files {
            0 => "There is nothing to change.\n".to_owned(),
            1 => "1 file would change.\n".to_owned(),
            _ => format!("{files} files would change.\n"),
        });
        out
    }

    fn change(&self, change: &SetupChange) -> String {
        let mut title = self.path(&change.path);
        if let Some(target) = &change.links_to {
            title.push_str(&format!(" -> {}", self.path(target)));
        }
        if !change.exists {
            title.push_str(" (new)");
        }
        let mut out = format!("{}\n", self.in_colour("1", &title));
        for why in &change.why {
            out.push_str(&format!("{}\n", self.in_colour("2", &self.prose(why))));
        }
        for line in &change.lines {
            let text = tabs_kept(&line.text);
            out.push_str(&match line.kind {
                SetupLineKind::Same => format!("    {text}\n"),
                SetupLineKind::Added => format!("{}\n", self.in_colour("32", &format!("  + {text}"))),
                SetupLineKind::Removed => format!("{}\n", self.in_colour("31", &format!("  - {text}"))),
                SetupLineKind::Gap => format!("{}\n", self.in_colour("2", "    …")),
            });
        }
        out.push('\n');
        out
    }

    fn agent(&self, agent: &SetupAgentState, is_changing: bool) -> String {
        let word = match agent.status {
            SetupStatus::Absent => "not here (it has no folder); skipped",
            SetupStatus::Unreadable => "left alone",
            SetupStatus::Connected if !is_changing => "connected",
            SetupStatus::Partly if !is_changing => "connected, but not wholly",
            SetupStatus::NotConnected if !is_changing => "not connected",
            SetupStatus::Connected | SetupStatus::Partly | SetupStatus::NotConnected => "to be connected",
        };
        let mut out = format!("{}: {word}\n", self.in_colour("1", &agent.name));
        for note in &agent.notes {
            out.push_str(&format!("  {}\n", self.prose(note)));
        }
        out
    }

    fn done(&self, done: &SetupDone, end: &str) -> String {
        let mut out = String::new();
        for file in &done.files {
            out.push_str(&format!("  {} {}\n", outcome(file), self.path(&file.path)));
            if let Some(note) = &file.note {
                out.push_str(&format!("      {}\n", self.prose(note)));
            }
        }
        format!("{out}{end}\n")
    }

    /// A path, shortened by the home, harmless to a terminal.
    fn path(&self, path: &str) -> String {
        let short = self.home.as_ref().and_then(|home| Path::new(path).strip_prefix(home).ok());
        plain(&short.map_or_else(|| path.to_owned(), |rest| format!("~/{}", rest.display())))
    }

    /// A sentence with paths in it.
    fn prose(&self, text: &str) -> String {
        match self.home.as_ref().and_then(|home| home.to_str()).filter(|home| home.len() > 1) {
            Some(home) => plain(&text.replace(&format!("{home}/"), "~/")),
            None => plain(text),
        }
    }

    fn in_colour(&self, code: &str, text: &str) -> String {
        if self.colours { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

fn tabs_kept(line: &str) -> String {
    line.split('\t').map(plain).collect::<Vec<_>>().join("\t")
}

fn outcome(file: &SetupFile) -> &'static str {
    match file.outcome {
        SetupOutcome::Written => "wrote   ",
        SetupOutcome::Restored => "restored",
        SetupOutcome::Removed => "removed ",
        SetupOutcome::TakenOut => "cleaned ",
        SetupOutcome::Kept => "kept    ",
        SetupOutcome::Failed => "FAILED  ",
    }
}
