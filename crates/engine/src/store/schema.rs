//! Migrations, and the healing of what a database lacks.

use std::path::Path;

use rusqlite::Connection;

use super::StoreError;

/// Migrations in order; never edited after a release. The n-th leads to schema n.
const MIGRATIONS: &[&str] = &[
    include_str!("schema/1_sessions.sql"),
    include_str!("schema/2_services.sql"),
    concat!(include_str!("schema/3_declared.sql"), include_str!("schema/3_fill_declared.sql")),
    include_str!("schema/4_worktrees.sql"),
    include_str!("schema/5_spans.sql"),
    include_str!("schema/6_told_calls.sql"),
    include_str!("schema/7_notices.sql"),
    include_str!("schema/8_attention.sql"),
    include_str!("schema/9_forgotten.sql"),
    include_str!("schema/10_settled.sql"),
    include_str!("schema/11_worktree_memory.sql"),
];

/// Brings a database to the newest schema and returns what had to be healed, in words.
///
/// Each migration runs in its own transaction together with its version. Whatever the recorded version says, the schema
/// is then compared with the expected one, and missing tables, columns and indexes are added; nothing is dropped or
/// retyped.
pub(crate) fn migrate(db: &Connection, path: &Path) -> Result<Vec<String>, StoreError> {
    let (found, known) = versions(db)?;
    if found > known {
        return Err(StoreError::Newer { path: path.to_owned(), found, known });
    }
    for (sql, version) in MIGRATIONS.iter().zip(1i64..).filter(|(_, version)| *version > found) {
        db.execute_batch("BEGIN IMMEDIATE")?;
        let done = db.execute_batch(sql).and_then(|()| db.pragma_update(None, "user_version", version));
        match done {
            Ok(()) => db.execute_batch("COMMIT")?,
            Err(e) => {
                db.execute_batch("ROLLBACK")?;
                return Err(e.into());
            }
        }
    }
    heal(db)
}

/// A part that a database lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lack {
    /// `column files.gone`, `table labels`, `index causes_open`.
    pub what: String,
    /// The statement that adds it.
    sql: String,
}

/// The schema a database has by its own word, and the newest one that is known.
pub(crate) fn versions(db: &Connection) -> Result<(i64, i64), StoreError> {
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    Ok((db.query_row("PRAGMA user_version", [], |row| row.get(0))?, known))
}

/// What a database lacks of the newest schema, in the order it can be added in.
pub(crate) fn lacks(db: &Connection) -> Result<Vec<Lack>, StoreError> {
    let model = Connection::open_in_memory()?;
    for sql in MIGRATIONS {
        model.execute_batch(sql)?;
    }
    let mut lacks = Vec::new();
    // An index may name a column that is missing: tables come first in `objects`.
    for (kind, name, sql) in objects(&model)? {
        let exists: bool = db.query_row(
            "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE type = ?1 AND name = ?2)",
            (&kind, &name),
            |row| row.get(0),
        )?;
        if !exists {
            lacks.push(Lack { what: format!("{kind} {name}"), sql });
        } else if kind == "table" {
            let have = columns(db, &name)?;
            for (column, declaration) in columns(&model, &name)? {
                if !have.iter().any(|(have, _)| *have == column) {
                    let sql = format!("ALTER TABLE \"{name}\" ADD COLUMN {declaration}");
                    lacks.push(Lack { what: format!("column {name}.{column}"), sql });
                }
            }
        }
    }
    Ok(lacks)
}

fn heal(db: &Connection) -> Result<Vec<String>, StoreError> {
    let lacks = lacks(db)?;
    for lack in &lacks {
        db.execute_batch(&lack.sql)?;
    }
    let healed: Vec<String> = lacks.into_iter().map(|lack| lack.what).collect();
    if healed.iter().any(|what| matches!(what.as_str(), "column sessions.run" | "column sessions.instance")) {
        super::runs::fill(db)?;
    }
    Ok(healed)
}

/// Tables, then indexes, of a database with their SQL.
fn objects(db: &Connection) -> Result<Vec<(String, String, String)>, StoreError> {
    let mut select = db.prepare(
        "SELECT type, name, sql FROM sqlite_master
         WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' ORDER BY type = 'index', name",
    )?;
    let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Columns of a table, each with a declaration that `ADD COLUMN` accepts: one that must not be null gets a default.
fn columns(db: &Connection, table: &str) -> Result<Vec<(String, String)>, StoreError> {
    let mut select = db.prepare("SELECT name, type, \"notnull\", dflt_value FROM pragma_table_info(?1)")?;
    let rows = select.query_map([table], |row| {
        let (name, kind): (String, String) = (row.get(0)?, row.get(1)?);
        let (not_null, default): (bool, Option<String>) = (row.get(2)?, row.get(3)?);
        let default = default.or_else(|| {
            not_null.then(|| match kind.as_str() {
                "TEXT" => "''".to_owned(),
                "BLOB" => "x''".to_owned(),
                _ => "0".to_owned(),
            })
        });
        let mut declaration = format!("\"{name}\" {kind}");
        if not_null {
            declaration.push_str(" NOT NULL");
        }
        if let Some(default) = default {
            declaration.push_str(&format!(" DEFAULT {default}"));
        }
        Ok((name, declaration))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fresh() -> Connection {
        let db = Connection::open_in_memory().unwrap();
        migrate(&db, Path::new("test.db")).unwrap();
        db
    }

    #[test]
    fn a_column_lost_behind_a_recorded_version_is_healed_a212_a213() {
        let db = fresh();
        db.execute_batch("ALTER TABLE files DROP COLUMN gone; DROP TABLE labels; DROP INDEX causes_open;")
            .unwrap();
        let healed = migrate(&db, Path::new("test.db")).unwrap();
        assert_eq!(healed, ["column files.gone", "table labels", "index causes_open"]);
        db.execute("INSERT INTO labels VALUES ('codex', 'x', 'y', 1)", []).unwrap();
        assert_eq!(migrate(&db, Path::new("test.db")).unwrap(), Vec::<String>::new(), "healed once");
    }

    #[test]
    fn what_was_declared_before_there_were_columns_for_it_is_filled_in_a211() {
        let db = Connection::open_in_memory().unwrap();
        for sql in &MIGRATIONS[..2] {
            db.execute_batch(sql).unwrap();
        }
        db.execute_batch(
            r#"PRAGMA user_version = 2;
               INSERT INTO sessions (agent, session_id, fold_version, state) VALUES
                   ('codex', 'a', 1, '{"telemetry": {"run": {"at": 1, "value": "nightly"}}}'),
                   ('codex', 'b', 1, '{"telemetry": {"instance": {"at": 1, "value": "pts-1"}}}'),
                   ('codex', 'c', 1, '{}')"#,
        )
        .unwrap();
        migrate(&db, Path::new("test.db")).unwrap();
        let mut select = db.prepare("SELECT run, instance FROM sessions ORDER BY session_id").unwrap();
        let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        let rows: Vec<(Option<String>, Option<String>)> = rows.map(Result::unwrap).collect();
        let text = |word: &str| Some(word.to_owned());
        assert_eq!(rows, [(text("nightly"), None), (None, text("pts-1")), (None, None)]);
    }

    #[test]
    fn a_database_from_before_spans_keeps_its_services_and_takes_spans_in() {
        let db = Connection::open_in_memory().unwrap();
        for (sql, version) in MIGRATIONS.iter().zip(1i64..).take(2) {
            db.execute_batch(sql).unwrap();
            db.pragma_update(None, "user_version", version).unwrap();
        }
        db.execute_batch(
            "INSERT INTO services (name, namespace, first_ms, last_ms) VALUES ('billing-bot', 'harbor', 1, 2);
             INSERT INTO sessions (agent, session_id, fold_version, state) VALUES ('codex', 'x', 1, '{}')",
        )
        .unwrap();
        assert_eq!(migrate(&db, Path::new("test.db")).unwrap(), Vec::<String>::new(), "nothing is healed");
        let kept: i64 = db
            .query_row("SELECT (SELECT count(*) FROM services) + (SELECT count(*) FROM sessions)", [], |r| {
                r.get(0)
            })
            .unwrap();
        assert_eq!(kept, 2);
        db.execute_batch("INSERT INTO service_sessions VALUES (1, 1, 3)").unwrap();
        let shape = |db: &Connection| {
            let all = objects(db).unwrap();
            let columns: Vec<_> = all.iter().map(|(_, name, _)| columns(db, name).unwrap()).collect();
            (all.into_iter().map(|(kind, name, _)| (kind, name)).collect::<Vec<_>>(), columns)
        };
        assert_eq!(shape(&db), shape(&fresh()), "as a fresh one");
    }

    /// A schema 10 that one build wrote, which remembered all of a worktree in one table.
    #[test]
    fn what_is_remembered_of_worktrees_is_kept_from_either_schema_10() {
        for is_early in [true, false] {
            let db = Connection::open_in_memory().unwrap();
            for sql in &MIGRATIONS[..9] {
                db.execute_batch(sql).unwrap();
            }
            db.execute("INSERT INTO worktrees VALUES ('/a', x'00000000000000000000000000000007', 3)", [])
                .unwrap();
            let schema = if is_early {
                "ALTER TABLE worktrees RENAME TO worktrees_4;
                 CREATE TABLE worktrees (root TEXT PRIMARY KEY, before BLOB, settled_at_ms INTEGER, at_ms INTEGER NOT NULL) STRICT;
                 INSERT INTO worktrees (root, before, at_ms) SELECT root, before, at_ms FROM worktrees_4;
                 DROP TABLE worktrees_4;
                 INSERT INTO worktrees VALUES ('/b', NULL, 5, 6)"
            } else {
                "CREATE TABLE worktrees_settled (root TEXT PRIMARY KEY, at_ms INTEGER NOT NULL) STRICT;
                 INSERT INTO worktrees_settled VALUES ('/a', 8)"
            };
            db.execute_batch(schema).unwrap();
            db.pragma_update(None, "user_version", 10).unwrap();
            assert_eq!(
                migrate(&db, Path::new("test.db")).unwrap(),
                Vec::<String>::new(),
                "nothing is healed"
            );
            let memory = super::super::worktrees::memory(&db, "/a").unwrap();
            assert_eq!(memory.before, Some(7));
            assert_eq!(memory.settled_at.map(|at| at.0), (!is_early).then_some(8));
            super::super::worktrees::memory(&db, "/b").unwrap();
        }
    }

    /// The text after each `start` of the sources, up to the end of its string or list.
    fn statements<'a>(sources: &'a str, start: &str, end: char) -> Vec<&'a str> {
        sources.split(start).skip(1).map(|rest| rest.split(end).next().unwrap_or(rest)).collect()
    }

    /// A column that nothing writes is a promise that nobody keeps.
    #[test]
    fn every_column_has_a_writer_b97() {
        let mut sources = String::new();
        let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|e| e == "rs") && !path.ends_with("schema.rs") {
                    sources.push_str(&std::fs::read_to_string(path).unwrap());
                }
            }
        }
        let word = |text: &str, name: &str| {
            text.split(|c: char| !c.is_alphanumeric() && c != '_').any(|part| part == name)
        };
        let db = fresh();
        let mut tables = db.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").unwrap();
        let tables: Vec<String> = tables.query_map([], |r| r.get(0)).unwrap().map(Result::unwrap).collect();
        assert!(tables.len() > 20);
        for table in tables.iter().filter(|t| !t.starts_with("sqlite_") && !t.starts_with("session_text_")) {
            let inserted = statements(&sources, &format!("INTO {table} "), ')')
                .into_iter()
                .chain(statements(&sources, &format!("INTO {table}\n"), ')'))
                .collect::<Vec<_>>();
            let set = statements(&sources, &format!("UPDATE {table} SET "), '"');
            let by_rowid = format!(
                "SELECT count(*) FROM pragma_table_info('{table}') WHERE name = ?1 AND pk = 1 AND type = 'INTEGER'"
            );
            for (column, _) in columns(&db, table).unwrap() {
                let is_rowid: i64 = db.query_row(&by_rowid, [&column], |r| r.get(0)).unwrap();
                let is_written = inserted.iter().chain(&set).any(|text| word(text, &column));
                assert!(is_written || is_rowid == 1, "nothing writes {table}.{column}");
            }
        }
    }

    #[test]
    fn a_newer_database_is_refused_and_left_alone() {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch("CREATE TABLE theirs (x); PRAGMA user_version = 99").unwrap();
        let error = migrate(&db, Path::new("/d/lamplight.db")).unwrap_err();
        assert!(matches!(error, StoreError::Newer { found: 99, .. }));
        let tables: i64 = db.query_row("SELECT count(*) FROM sqlite_master", [], |r| r.get(0)).unwrap();
        assert_eq!(tables, 1, "nothing was added");
    }

    #[test]
    fn hot_queries_use_their_index() {
        let db = fresh();
        let plan = |sql: &str| -> String {
            let mut explain = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let rows = explain.query_map([], |row| row.get::<_, String>(3)).unwrap();
            rows.map(Result::unwrap).collect::<Vec<_>>().join("; ")
        };
        for (sql, index) in [
            (
                "SELECT * FROM sessions WHERE last_activity_ms >= 5 ORDER BY last_activity_ms DESC",
                "sessions_by_activity",
            ),
            ("SELECT * FROM sessions WHERE live = 1", "sessions_live"),
            ("SELECT * FROM files WHERE dev = 1 AND ino = 2", "sqlite_autoindex_files_1"),
            ("SELECT * FROM files WHERE session = 1", "files_by_session"),
            ("SELECT * FROM llm_calls WHERE key = x'00'", "PRIMARY KEY"),
            ("SELECT 1 FROM telemetry_seen WHERE day = 1 AND at_ns = 2 AND hash = x'00'", "PRIMARY KEY"),
            ("SELECT min(day) FROM telemetry_seen", "PRIMARY KEY"),
            ("SELECT at_ns FROM telemetry_seen WHERE day = 1 ORDER BY at_ns LIMIT 1 OFFSET 9", "PRIMARY KEY"),
            ("SELECT * FROM reported_requests WHERE request = x'00'", "PRIMARY KEY"),
            ("SELECT call FROM call_requests WHERE request = x'00'", "PRIMARY KEY"),
            ("SELECT * FROM traces WHERE trace_id = x'00'", "sqlite_autoindex_traces_1"),
            ("SELECT * FROM spans WHERE trace = 1 AND span = 2", "spans_by_trace"),
            ("DELETE FROM spans WHERE id IN (SELECT id FROM spans WHERE trace = 1 LIMIT 9)", "spans_by_trace"),
            (
                "SELECT listed_ns, id FROM traces WHERE (listed_ns, id) < (1, 2) ORDER BY listed_ns DESC, id DESC LIMIT 9",
                "COVERING INDEX traces_listed",
            ),
            (
                "SELECT listed_ns, trace FROM trace_senders WHERE sender = 1 AND (listed_ns, trace) < (1, 2)
                 ORDER BY listed_ns DESC, trace DESC LIMIT 9",
                "PRIMARY KEY",
            ),
            (
                "SELECT listed_ns, trace FROM trace_sessions WHERE session = 1 AND (listed_ns, trace) < (1, 2)
                 ORDER BY listed_ns DESC, trace DESC LIMIT 9",
                "PRIMARY KEY",
            ),
            ("SELECT sender FROM trace_senders WHERE trace = 1", "trace_senders_by_trace"),
            ("SELECT session FROM trace_sessions WHERE trace = 1", "trace_sessions_by_trace"),
            ("SELECT name FROM span_operations WHERE sender = 1 AND hour >= 2", "PRIMARY KEY"),
            ("SELECT model FROM service_model_hours WHERE service = 1 AND hour >= 2", "PRIMARY KEY"),
            (
                "SELECT session FROM service_sessions WHERE service = 1 ORDER BY last_ms DESC, session DESC",
                "service_sessions_by_last",
            ),
            ("SELECT * FROM service_minutes WHERE service = 1 AND minute >= 2", "PRIMARY KEY"),
            (
                "SELECT max(last_activity_ms), run FROM sessions WHERE run IS NOT NULL AND class = 'row' GROUP BY run",
                "COVERING INDEX sessions_by_run",
            ),
            ("SELECT id FROM sessions WHERE run = 'r' ORDER BY id", "sessions_by_run"),
            ("SELECT id FROM sessions WHERE instance = 'i' ORDER BY id", "sessions_by_instance"),
            (
                "SELECT session FROM causes WHERE cleared_at_ms IS NULL AND dismissed_at_ms IS NULL",
                "causes_open",
            ),
        ] {
            assert!(plan(sql).contains(index), "{sql}: {}", plan(sql));
        }
    }
}
