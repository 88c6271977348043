//! A screen of its own with a window manager, and terminals on it. Everything started is ended.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lamplight_engine::terminals::{focus, is_in_front};

/// Waits until something holds.
#[expect(clippy::disallowed_methods, reason = "other programs are waited for, which tell nobody")]
pub fn until(what: &str, holds: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < end, "never: {what}");
        std::thread::sleep(Duration::from_millis(30));
    }
}

/// A process that ends with its handle.
pub struct Ends(Child);

impl Drop for Ends {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An X server, a window manager, and a folder.
pub struct Desk {
    display: String,
    _manager: Ends,
    _server: Ends,
    dir: tempfile::TempDir,
}

impl Desk {
    pub fn new() -> Self {
        for (program, asks) in [
            ("Xvfb", "-help"),
            ("openbox", "--version"),
            ("xterm", "-version"),
            ("tmux", "-V"),
            ("screen", "-v"),
            ("xdotool", "version"),
        ] {
            let there = Command::new(program).arg(asks).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
            assert!(there.is_ok(), "{program} is missing: run scripts/setup.sh test");
            there.unwrap().wait().unwrap();
        }
        // The server chooses a number that is free and says which.
        let mut server = Command::new("Xvfb")
            .args(["-displayfd", "1", "-screen", "0", "1000x700x24", "-nolisten", "tcp"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut number = String::new();
        BufReader::new(server.stdout.take().unwrap()).read_line(&mut number).unwrap();
        let display = format!(":{}", number.trim());
        let dir = tempfile::tempdir().unwrap();
        let manager = Command::new("openbox")
            .env("DISPLAY", &display)
            .env("HOME", dir.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let desk = Self { display, _manager: Ends(manager), _server: Ends(server), dir };
        until("a window manager is there", || desk.property("_NET_SUPPORTING_WM_CHECK").contains("0x"));
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env("DISPLAY", &self.display)
            .env("HOME", self.dir.path())
            .env("SHELL", "/bin/sh")
            .env("LIBGL_ALWAYS_SOFTWARE", "1")
            .env("SCREENDIR", self.sockets())
            .env_remove("TMUX")
            .env_remove("STY")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    /// Where GNU screen keeps its sockets; it insists on being alone there.
    fn sockets(&self) -> PathBuf {
        let folder = self.path("screens");
        fs::create_dir_all(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
        folder
    }

    /// A program to run in a terminal: it notes its process and waits.
    pub fn agent(&self, name: &str) -> String {
        let script = self.path(&format!("{name}.sh"));
        let pid = self.path(&format!("{name}.pid"));
        // A child writes it: whatever another test starts while the file is open for writing here holds it open too for a
        // moment, and such a file cannot be run.
        let mut child = Command::new("sh")
            .args(["-c", "cat > \"$1\" && chmod 700 \"$1\"", "sh"])
            .arg(&script)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        write!(
            child.stdin.take().unwrap(),
            "#!/bin/sh\necho $$ > {0}.new\nmv {0}.new {0}\nexec sleep 300\n",
            pid.display()
        )
        .unwrap();
        assert!(child.wait().unwrap().success());
        script.display().to_string()
    }

    /// Process of such a program, once it runs.
    pub fn pid(&self, name: &str) -> u32 {
        let path = self.path(&format!("{name}.pid"));
        until(&format!("{name} runs"), || path.exists());
        fs::read_to_string(path).unwrap().trim().parse().unwrap()
    }

    pub fn xterm(&self, run: &str) -> Ends {
        Ends(self.command("xterm").args(["-e", "sh", "-c", run]).spawn().unwrap())
    }

    /// Brings a terminal to the front, until it is seen there and the others behind it: a window manager that is slow
    /// may put a new window before it.
    pub fn bring(&self, pid: u32, behind: &[u32]) {
        until("it is in front, and the others behind it", || {
            self.touch();
            focus(pid).is_ok()
                && is_in_front(pid) == Some(true)
                && behind.iter().all(|other| is_in_front(*other) == Some(false))
        });
    }

    /// Presses a key that does nothing: whoever has touched nothing for a minute is away.
    pub fn touch(&self) {
        assert!(self.command("xdotool").args(["key", "Shift_L"]).status().unwrap().success());
    }

    /// Ids of the windows on the screen.
    pub fn windows(&self) -> Vec<String> {
        let list = self.property("_NET_CLIENT_LIST");
        let ids = list.split_once('#').map_or("", |(_, ids)| ids);
        ids.split(',').map(|id| id.trim().to_owned()).filter(|id| !id.is_empty()).collect()
    }

    fn property(&self, name: &str) -> String {
        let out = self.command("xprop").args(["-root", name]).stdout(Stdio::piped()).output().unwrap();
        String::from_utf8_lossy(&out.stdout).into_owned()
    }

    pub fn tmux(&self, session: &str) -> Tmux<'_> {
        let tmux = Tmux { desk: self, socket: self.path("tmux.socket"), session: session.to_owned() };
        tmux.say(&["-f", "/dev/null", "new-session", "-d", "-s", session, "sleep 300"]);
        tmux
    }

    pub fn screen(&self, session: &str) -> Screen<'_> {
        let started = self
            .command("screen")
            .args(["-c", "/dev/null", "-S", session, "-d", "-m", "sleep", "300"])
            .status();
        assert!(started.unwrap().success());
        Screen { desk: self, session: session.to_owned() }
    }

    pub fn kitty(&self, run: &str) -> Kitty<'_> {
        let socket = self.path("kitty.socket");
        let child = self
            .command("kitty")
            .args(["--config", "NONE", "-o", "allow_remote_control=yes", "-o", "update_check_interval=0"])
            .arg("--listen-on")
            .arg(format!("unix:{}", socket.display()))
            .arg(run)
            .spawn()
            .unwrap_or_else(|error| panic!("kitty: {error}: run scripts/setup.sh test"));
        let kitty = Kitty { desk: self, socket, _child: Ends(child) };
        until("kitty listens", || kitty.socket.exists());
        kitty
    }
}

/// A server of tmux.
pub struct Tmux<'a> {
    desk: &'a Desk,
    socket: PathBuf,
    session: String,
}

impl Tmux<'_> {
    fn say(&self, args: &[&str]) -> String {
        let mut command = self.desk.command("tmux");
        let out = command.arg("-S").arg(&self.socket).args(args).stdout(Stdio::piped()).output().unwrap();
        String::from_utf8_lossy(&out.stdout).into_owned()
    }

    pub fn window(&self, run: &str) {
        self.say(&["new-window", "-t", &format!("{}:", self.session), run]);
    }

    pub fn attach(&self) -> String {
        format!("exec tmux -S {} attach -t '{}'", self.socket.display(), self.session)
    }

    pub fn clients(&self) -> usize {
        self.say(&["list-clients"]).lines().count()
    }
}

impl Drop for Tmux<'_> {
    fn drop(&mut self) {
        self.say(&["kill-server"]);
    }
}

/// A session of GNU screen.
pub struct Screen<'a> {
    desk: &'a Desk,
    session: String,
}

impl Screen<'_> {
    pub fn window(&self, run: &str) {
        // Its server may not listen yet.
        until("a window of screen", || {
            let mut command = self.desk.command("screen");
            command.args(["-S", &self.session, "-X", "screen", run]).status().unwrap().success()
        });
    }

    pub fn attach(&self) -> String {
        format!("exec screen -S {} -x", self.session)
    }
}

impl Drop for Screen<'_> {
    fn drop(&mut self) {
        // It may be gone.
        let _ = self.desk.command("screen").args(["-S", &self.session, "-X", "quit"]).status();
    }
}

/// A kitty with remote control.
pub struct Kitty<'a> {
    desk: &'a Desk,
    socket: PathBuf,
    _child: Ends,
}

impl Kitty<'_> {
    pub fn tab(&self, run: &str) {
        let to = format!("unix:{}", self.socket.display());
        let mut command = self.desk.command("kitty");
        let args = ["@", "--to", &to, "launch", "--type=tab", run];
        assert!(command.args(args).status().unwrap().success());
    }
}

/// Ends a process of the desk's.
pub fn end(pid: u32) {
    assert!(Command::new("kill").args(["-KILL", &pid.to_string()]).status().unwrap().success());
}
