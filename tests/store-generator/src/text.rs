//! A pool of text, escaped once and cut anywhere between two pieces.

use crate::json::escape;
use crate::rng::Rng;

const POOL_BYTES: usize = 3 << 20;

const WORDS: &[&str] = &[
    "the",
    "parser",
    "session",
    "cursor",
    "after",
    "fails",
    "because",
    "writer",
    "holds",
    "a",
    "lock",
    "while",
    "reading",
    "the",
    "index",
    "we",
    "should",
    "check",
    "whether",
    "offset",
    "moves",
    "past",
    "end",
    "of",
    "file",
    "commit",
    "batch",
    "row",
    "update",
    "schema",
    "query",
    "plan",
    "token",
    "usage",
    "request",
    "response",
    "stream",
    "window",
    "worktree",
    "branch",
    "merge",
    "test",
    "passes",
    "on",
    "second",
    "run",
    "cache",
    "write",
    "then",
    "returns",
    "error",
    "retry",
    "handler",
    "queue",
    "bounded",
    "full",
    "naïve",
    "Größe",
    "façade",
    "日本語",
    "проверка",
    "naturally",
    "🚀",
    "don't",
    "it's",
    "\"quoted\"",
    "C:\\path",
    "<tag>",
    "&amp;",
];

const CODE: &[&str] = &[
    "fn fold(state: &mut State, event: &Event) -> Option<Change> {\n    match event.kind {\n        Kind::Prompt => state.turns += 1,\n        _ => return None,\n    }\n}\n",
    "    let rows = statement.query_map(params![session_id, since_ms], |row| row.get::<_, i64>(0))?;\n",
    "const total = items.reduce((sum, item) => sum + item.price * item.count, 0);\n",
    "diff --git a/src/index.ts b/src/index.ts\n--- a/src/index.ts\n+++ b/src/index.ts\n@@ -12,7 +12,9 @@ export function open(path: string) {\n-  return fs.open(path);\n+  return fs.open(path, 'r');\n",
    "error[E0502]: cannot borrow `self.rows` as mutable because it is also borrowed as immutable\n   --> crates/engine/src/store.rs:118:9\n",
    "test result: ok. 214 passed; 0 failed; 3 ignored; 0 measured; 0 filtered out; finished in 4.21s\n",
    "-rw-r--r-- 1 dev dev  18231 Nov 12 09:14 README.md\ndrwxr-xr-x 5 dev dev   4096 Nov 12 09:14 src\n",
    "{\"type\":\"assistant\",\"message\":{\"id\":\"msg_quoted_in_a_tool_result\",\"model\":\"none\",\"usage\":{\"input_tokens\":999,\"output_tokens\":999}}}\n",
    "{\"type\":\"event_msg\",\"payload\":{\"type\":\"token_count\",\"info\":null}}\n",
    "\tif err != nil {\n\t\treturn fmt.Errorf(\"open %q: %w\", name, err)\n\t}\n",
    "  File \"/home/dev/projects/atlas/tools/build.py\", line 88, in main\n    raise SystemExit(run(sys.argv[1:]))\n",
    "\u{1b}[32m✓\u{1b}[0m store › keeps the cursor in the same transaction (12 ms)\n",
];

/// Ready-made text. Slices of it stand unchanged inside a JSON string.
#[derive(Debug)]
pub struct Pool {
    escaped: String,
    cuts: Vec<usize>,
}

impl Pool {
    /// The pool of a seed.
    pub fn new(rng: &mut Rng) -> Self {
        let mut escaped = String::with_capacity(POOL_BYTES + 1024);
        let mut cuts = vec![0];
        while escaped.len() < POOL_BYTES {
            if rng.chance(350) {
                escaped.push_str(&escape(rng.pick(CODE)));
            } else {
                for _ in 0..rng.range(4, 14) {
                    escaped.push_str(&escape(rng.pick(WORDS)));
                    escaped.push(' ');
                    cuts.push(escaped.len());
                }
                escaped.push_str(if rng.chance(250) { ".\\n" } else { ". " });
            }
            cuts.push(escaped.len());
        }
        Self { escaped, cuts }
    }

    /// About `bytes` of text, at most the size of the pool.
    pub fn text(&self, rng: &mut Rng, bytes: usize) -> &str {
        let bytes = bytes.min(POOL_BYTES / 2);
        let last_start = self.cuts.partition_point(|cut| cut + bytes < self.escaped.len());
        let start = self.cuts[rng.index(last_start.max(1))];
        let end = self.cuts.partition_point(|cut| *cut < start + bytes);
        let end = self.cuts.get(end).copied().unwrap_or(self.escaped.len());
        &self.escaped[start..end]
    }

    /// A short line of words: a prompt's beginning, a title.
    pub fn words(rng: &mut Rng, n: u64) -> String {
        let words: Vec<&str> = (0..n).map(|_| rng.pick(&WORDS[..50])).collect();
        words.join(" ")
    }
}
