//! A home with the wrapper set up, a stand-in for the agent, a `lamp` that writes down what it is asked, and terminals.

mod program;

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use lamplight_engine::setup::{self, Places, Wish};
use lamplight_model::view::SetupChoices;
use program::write_program;

/// Time anything here may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

pub const SHELLS: [Shell; 3] = [Shell::Bash, Shell::Zsh, Shell::Fish];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shell {
    Bash,
    Zsh,
    Fish,
}

impl Shell {
    fn program(self) -> &'static str {
        match self {
            Self::Bash => "bash",
            Self::Zsh => "zsh",
            Self::Fish => "fish",
        }
    }

    /// Says the last status.
    pub fn status(self) -> &'static str {
        match self {
            Self::Fish => "$status",
            Self::Bash | Self::Zsh => "$?",
        }
    }
}

/// What a script said.
#[derive(Debug)]
pub struct Ran {
    pub out: String,
    pub err: String,
}

pub struct Bench {
    dir: tempfile::TempDir,
}

impl Bench {
    /// `claude` is a script that does this.
    pub fn new(claude: &str) -> Self {
        for shell in SHELLS {
            let there = Command::new(shell.program()).arg("--version").output().is_ok();
            assert!(there, "{} is missing: run scripts/setup.sh test", shell.program());
        }
        let bench = Self { dir: tempfile::tempdir().unwrap() };
        for folder in ["home/.claude", "home/.config/fish", "bin", "it's lamp"] {
            fs::create_dir_all(bench.at(folder)).unwrap();
        }
        for start in [".bashrc", ".zshrc"] {
            fs::write(bench.at("home").join(start), "PS1='$ '\n").unwrap();
        }
        write_program(&bench.at("bin/claude"), claude);
        let lamp = env!("CARGO_BIN_EXE_lamp");
        write_program(
            &bench.lamp(),
            &format!(
                "echo \"$1: ${{OTEL_RESOURCE_ATTRIBUTES-none}}\" >> \"$HERE/told\"\n[ \"$1\" != otel-resource-attrs ] || exec '{lamp}' \"$@\""
            ),
        );
        let plan = setup::plan(
            &bench.places(),
            &Wish {
                choices: SetupChoices { hooks: false, telemetry: false, ..SetupChoices::default() },
                ..Wish::default()
            },
        );
        assert_eq!(plan.view().changes.len(), 5, "{:#?}", plan.view());
        setup::apply(&plan, &plan.digest()).unwrap();
        bench
    }

    fn places(&self) -> Places {
        let home = self.at("home");
        Places {
            data_dir: self.at("data dir"),
            data_dir_is_named: true,
            claude: Some(home.join(".claude")),
            zsh: Some(home.clone()),
            fish: Some(home.join(".config/fish")),
            lamp: Some(self.lamp()),
            home: Some(home),
            ..Places::default()
        }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    fn lamp(&self) -> PathBuf {
        self.at("it's lamp/lamp")
    }

    pub fn remove_lamp(&self) {
        fs::remove_file(self.lamp()).unwrap();
    }

    pub fn remove_claude(&self) {
        fs::remove_file(self.at("bin/claude")).unwrap();
    }

    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.at(path)).unwrap_or_default()
    }

    pub fn write(&self, path: &str, text: &str) {
        fs::write(self.at(path), text).unwrap();
    }

    /// What lamp was asked, a line each: the task, and the attributes it saw.
    pub fn told(&self) -> Vec<String> {
        self.read("told")
            .lines()
            .filter(|l| !l.starts_with("otel-resource-attrs"))
            .map(ToOwned::to_owned)
            .collect()
    }

    /// Waits until lamp is told this.
    #[track_caller]
    pub fn wait_told(&self, line: &str) {
        let until = Instant::now() + PATIENCE;
        while !self.told().iter().any(|told| told == line) {
            assert!(Instant::now() < until, "never told {line:?}, but {:?}", self.told());
            pause();
        }
    }

    /// The words that load the wrapper into a shell.
    pub fn load(&self, shell: Shell) -> String {
        let name = if shell == Shell::Fish { "lamplight.fish" } else { "lamplight.sh" };
        format!(". '{}'", self.at("data dir/shell").join(name).display())
    }

    fn command(&self, program: &str) -> Command {
        // Whatever the tests were started by, `nohup` say, a shell begins with every signal as a terminal leaves it.
        let mut command = Command::new("env");
        command
            .args(["--default-signal", program])
            .env_clear()
            .env("HOME", self.at("home"))
            .env("ZDOTDIR", self.at("home"))
            .env("XDG_CONFIG_HOME", self.at("home/.config"))
            .env("XDG_DATA_HOME", self.at("home/.local/share"))
            .env("LAMPLIGHT_CONFIG", self.at("config.toml"))
            .env("PATH", format!("{}:/usr/bin:/bin", self.at("bin").display()))
            .env("TERM", "dumb")
            .env("HERE", self.dir.path())
            .current_dir(self.at("home"));
        command
    }

    /// Runs a line with the wrapper loaded, without a terminal.
    pub fn run(&self, shell: Shell, line: &str) -> Ran {
        self.run_bare(shell, &format!("{}; {line}", self.load(shell)))
    }

    /// Runs a line.
    pub fn run_bare(&self, shell: Shell, line: &str) -> Ran {
        let output = self.command(shell.program()).args(["-c", line]).stdin(Stdio::null()).output().unwrap();
        Ran { out: String::from_utf8(output.stdout).unwrap(), err: String::from_utf8(output.stderr).unwrap() }
    }

    /// Runs a line until it says `ready`, sends the shell a signal, and says how it ended.
    pub fn run_and_kill(&self, shell: Shell, line: &str, ready: &str, signal: &str) -> String {
        let line = format!("{}; {line}", self.load(shell));
        let mut child = self
            .command(shell.program())
            .args(["-c", &line])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = child.stdout.take().unwrap();
        let mut said = Vec::new();
        let mut byte = [0];
        while !String::from_utf8_lossy(&said).contains(ready) {
            assert_ne!(out.read(&mut byte).unwrap(), 0, "{}", String::from_utf8_lossy(&said));
            said.push(byte[0]);
        }
        // First the shell, which waits, then the agent it waits for.
        let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", child.id())).unwrap();
        for pid in [child.id().to_string().as_str(), children.trim()] {
            assert!(Command::new("kill").args([&format!("-{signal}"), pid]).status().unwrap().success());
        }
        let ended = wait(&mut child);
        let mut rest = String::new();
        out.read_to_string(&mut rest).unwrap();
        assert!(!rest.contains("not-reached"), "{rest}");
        ended.signal().map_or_else(|| format!("status {ended}"), |signal| format!("signal {signal}"))
    }

    /// Opens a terminal with the shell in it, as a person finds it.
    pub fn terminal(&self, shell: Shell) -> Terminal {
        let (master, slave, name) = pty();
        let mut command = self.command("setsid");
        command.args(["--ctty", shell.program(), "-i"]);
        if shell == Shell::Fish {
            // Asks the terminal nothing and keeps no history.
            command.args(["--private"]);
        }
        let [stdin, stdout, stderr] = [(); 3].map(|()| Stdio::from(slave.try_clone().unwrap()));
        let child = command.stdin(stdin).stdout(stdout).stderr(stderr).spawn().unwrap();
        drop((slave, command));
        let (sender, screen) = channel();
        let mut reader = master.try_clone().unwrap();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // Ends with an error when nobody holds the other side any more.
            while let Ok(read @ 1..) = reader.read(&mut buffer) {
                if sender.send(buffer[..read].to_vec()).is_err() {
                    break;
                }
            }
        });
        let mut terminal = Terminal { master: Some(master), child, screen, seen: Vec::new(), name };
        terminal.line("echo shell-is-\"\"ready");
        terminal.wait_for("shell-is-ready");
        terminal
    }
}

pub struct Terminal {
    master: Option<File>,
    child: Child,
    screen: Receiver<Vec<u8>>,
    seen: Vec<u8>,
    name: String,
}

impl Terminal {
    /// Its name as one word.
    pub fn name(&self) -> String {
        self.name.trim_start_matches("/dev/").replace('/', "-")
    }

    pub fn line(&mut self, line: &str) {
        self.keys(&format!("{line}\r"));
    }

    pub fn keys(&mut self, keys: &str) {
        self.master.as_mut().unwrap().write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until the screen shows a text, and forgets what was on it up to there.
    #[track_caller]
    pub fn wait_for(&mut self, text: &str) {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.seen.windows(text.len()).position(|window| window == text.as_bytes()) {
                self.seen.drain(..at + text.len());
                return;
            }
            match self.screen.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.seen.extend(bytes),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    panic!("no {text:?} on the screen: {}", String::from_utf8_lossy(&self.seen))
                }
            }
        }
    }

    /// Closes the window: everyone in it is hung up on.
    pub fn close(&mut self) {
        self.master = None;
        // The reader holds the last end; it is the shell's hanging up that ends it.
        let _ = Command::new("kill").args(["-HUP", &self.child.id().to_string()]).status();
        let pgrp = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))
            .ok()
            .and_then(|stat| stat.rsplit(')').next()?.split_whitespace().nth(5).map(ToOwned::to_owned));
        if let Some(pgrp) = pgrp.filter(|pgrp| pgrp != "-1") {
            let _ = Command::new("kill").args(["-HUP", "--", &format!("-{pgrp}")]).status();
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // What runs in it goes with it.
        for pid in members(&self.child.id().to_string()) {
            // It may have gone by itself.
            let _ = Command::new("kill").args(["-KILL", &pid]).stderr(Stdio::null()).status();
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Processes of a session.
fn members(session: &str) -> Vec<String> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let is_member = |pid: &String| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(3)) == Some(session)
    };
    pids.filter(|name| name.bytes().all(|b| b.is_ascii_digit())).filter(is_member).collect()
}

/// Both sides of a terminal, and its name.
fn pty() -> (File, OwnedFd, String) {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
    let slave = rustix::fs::open(
        &*name,
        rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY | rustix::fs::OFlags::CLOEXEC,
        rustix::fs::Mode::empty(),
    )
    .unwrap();
    (File::from(master), slave, name)
}

#[track_caller]
fn wait(child: &mut Child) -> ExitStatus {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        assert!(Instant::now() < until, "it does not end");
        pause();
    }
}

#[expect(clippy::disallowed_methods, reason = "other processes tell nothing when they are done")]
fn pause() {
    std::thread::sleep(Duration::from_millis(10));
}
