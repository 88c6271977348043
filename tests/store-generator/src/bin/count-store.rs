//! `count-store`: the plain second reader as a program, for any home folder.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

fn main() -> Result<()> {
    let home = std::env::args_os().nth(1).map(PathBuf::from).context("usage: count-store HOME")?;
    let totals = lamplight_store_generator::count::count(&home)?;
    writeln!(std::io::stdout(), "{totals}")?;
    Ok(())
}
