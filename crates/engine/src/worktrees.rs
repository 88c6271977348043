//! Worktrees that agents work in: when they are looked at, how, and what was found.
//!
//! Start from [`Tender`], which runs the looks on threads of its own; `git` runs git so that nothing of the repository's
//! choosing is run with it; `porcelain` reads what it prints; `site` says where git's own folder is, and whose. Which
//! sessions a worktree belongs to, and when its work is at risk, is decided where all facts meet, in `core::worktrees`.

mod git;
mod porcelain;
mod site;
mod tender;

pub(crate) use git::Git;
pub(crate) use tender::{Order, Pace, Tender};
