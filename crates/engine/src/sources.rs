//! Where facts come from: transcripts and registries of each agent, processes, locks.
