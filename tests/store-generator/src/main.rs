//! `generate-store`: writes a synthetic store and prints its true totals.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use lamplight_store_generator::plan::DEFAULT_UNTIL_MS;
use lamplight_store_generator::{Family, Request, generate};

/// Writes `DIR/.claude` and `DIR/.codex` and prints their true totals in the shape of `lamp import --json`.
#[derive(Debug, Parser)]
struct Arguments {
    /// The home folder to fill. Must not hold `.claude` or `.codex` yet.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Bytes of transcripts: a number, or one with KB, MB or GB (powers of ten).
    #[arg(long, default_value = "1GB", value_parser = parse_bytes)]
    bytes: u64,
    /// Number of transcripts, subagents' included.
    #[arg(long, default_value_t = 2200)]
    files: u64,
    /// Decides everything else; the same seed gives the same bytes.
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// Put a space after each `:` and `,` of the JSON.
    #[arg(long)]
    spaced: bool,
    /// Latest time of any record, in milliseconds since 1970.
    #[arg(long, default_value_t = DEFAULT_UNTIL_MS)]
    until_ms: u64,
    /// Families to write: claude, claude-old, codex, codex-old.
    #[arg(long, value_delimiter = ',', value_parser = parse_family)]
    families: Vec<Family>,
}

fn parse_bytes(text: &str) -> Result<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" | "B" => 1,
        "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        other => bail!("unknown unit {other}; use KB, MB or GB"),
    };
    let number: u64 = digits.parse().with_context(|| format!("{digits} is not a number"))?;
    Ok(number * unit)
}

fn parse_family(name: &str) -> Result<Family> {
    let known = Family::ALL.into_iter().map(|(family, _)| family).find(|family| family.name() == name);
    known.with_context(|| format!("unknown family {name}; use claude, claude-old, codex, codex-old"))
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    for folder in [".claude", ".codex"] {
        let path = arguments.out.join(folder);
        if path.exists() {
            bail!("{} exists already; name a folder without it", path.display());
        }
    }
    let families = if arguments.families.is_empty() {
        Family::ALL.map(|(family, _)| family).to_vec()
    } else {
        arguments.families
    };
    let report = generate(&Request {
        home: arguments.out,
        bytes: arguments.bytes,
        files: arguments.files,
        seed: arguments.seed,
        spaced: arguments.spaced,
        until_ms: arguments.until_ms,
        families,
    })?;
    writeln!(std::io::stderr(), "wrote {} transcripts, {} bytes", report.files, report.bytes)?;
    writeln!(std::io::stdout(), "{}", report.truth.to_json())?;
    Ok(())
}
