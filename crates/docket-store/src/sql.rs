//! The thin seam to the database: opening it, values, multi-row inserts and multi-key look-ups in fixed sizes.
//!
//! One SQL text serves every engine: `$n` placeholders, `ON CONFLICT`, plain types. Fixed sizes keep the number
//! of distinct statements small, so each is prepared once per connection.

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::stream::BoxStream;
use sqlx::sqlite::{
    SqliteArguments, SqliteAutoVacuum, SqliteConnectOptions, SqliteConnection, SqliteExecutor, SqliteJournalMode,
    SqlitePool, SqlitePoolOptions, SqliteRow, SqliteSynchronous,
};
use sqlx::{AssertSqlSafe, Connection as _, Row as _, Sqlite};

use crate::StoreError;

/// One bound value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Value {
    Null,
    Int(i64),
    Bytes(Vec<u8>),
    Text(String),
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Int(value as i64)
    }
}

impl From<Option<i64>> for Value {
    fn from(value: Option<i64>) -> Self {
        value.map_or(Self::Null, Self::Int)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<Vec<u8>> for Value {
    fn from(value: Vec<u8>) -> Self {
        Self::Bytes(value)
    }
}

type Query<'q> = sqlx::query::Query<'q, Sqlite, SqliteArguments>;

fn bind<'q>(query: Query<'q>, value: &'q Value) -> Query<'q> {
    match value {
        Value::Null => query.bind(None::<i64>),
        Value::Int(value) => query.bind(*value),
        Value::Bytes(value) => query.bind(value.as_slice()),
        Value::Text(value) => query.bind(value.as_str()),
    }
}

/// Statement sizes: what waits is cut into the largest of these that fits, the rest row by row.
const SIZES: [usize; 4] = [256, 64, 8, 1];

/// One statement text per size, built on first use.
#[derive(Debug)]
struct Sized([OnceLock<Arc<str>>; SIZES.len()]);

impl Sized {
    const fn new() -> Self {
        Self([OnceLock::new(), OnceLock::new(), OnceLock::new(), OnceLock::new()])
    }

    fn text(&self, size: usize, build: impl FnOnce() -> String) -> AssertSqlSafe<Arc<str>> {
        let at = SIZES.iter().position(|known| *known == size).expect("callers take sizes from SIZES");
        // Built from constants of this crate alone; every value is bound.
        AssertSqlSafe(Arc::clone(self.0[at].get_or_init(|| build().into())))
    }
}

/// `($1, $2), ($3, $4)`: placeholders for `rows` tuples of `columns`.
fn tuples(columns: usize, rows: usize) -> String {
    let mut text = String::with_capacity(rows * columns * 6);
    for row in 0..rows {
        text.push_str(if row == 0 { "(" } else { ", (" });
        for column in 1..=columns {
            if column > 1 {
                text.push_str(", ");
            }
            text.push('$');
            text.push_str(&(row * columns + column).to_string());
        }
        text.push(')');
    }
    text
}

/// A multi-row insert into one table.
#[derive(Debug)]
pub(crate) struct Insert {
    table: &'static str,
    columns: &'static [&'static str],
    conflict: &'static str,
    sized: Sized,
}

impl Insert {
    pub(crate) const fn new(table: &'static str, columns: &'static [&'static str], conflict: &'static str) -> Self {
        Self { table, columns, conflict, sized: Sized::new() }
    }

    /// Inserts every row, in order. A row has one value per column.
    pub(crate) async fn run(&self, connection: &mut SqliteConnection, rows: &[Vec<Value>]) -> Result<(), sqlx::Error> {
        let mut rest = rows;
        while !rest.is_empty() {
            let size = *SIZES.iter().find(|size| **size <= rest.len()).unwrap_or(&1);
            let (chunk, after) = rest.split_at(size);
            let text = self.sized.text(size, || {
                let (table, columns, conflict) = (self.table, self.columns.join(", "), self.conflict);
                format!("INSERT INTO {table} ({columns}) VALUES {} {conflict}", tuples(self.columns.len(), size))
            });
            let query = chunk.iter().flatten().fold(sqlx::query(text), bind);
            query.execute(&mut *connection).await?;
            rest = after;
        }
        Ok(())
    }
}

/// A look-up of many keys at once: `WITH want(<columns>) AS (VALUES …) <select>`.
#[derive(Debug)]
pub(crate) struct Lookup {
    columns: &'static [&'static str],
    select: &'static str,
    sized: Sized,
}

impl Lookup {
    pub(crate) const fn new(columns: &'static [&'static str], select: &'static str) -> Self {
        Self { columns, select, sized: Sized::new() }
    }

    /// All rows found for the keys, in no order. A key given twice may be found twice.
    pub(crate) async fn run(
        &self,
        connection: &mut SqliteConnection,
        keys: &[Vec<Value>],
    ) -> Result<Vec<SqliteRow>, sqlx::Error> {
        let mut found = Vec::new();
        let mut rest = keys;
        while let Some(last) = rest.last() {
            // The smallest size that holds what is left; the gap is filled with the last key once more.
            let size = *SIZES.iter().rev().find(|size| **size >= rest.len()).unwrap_or(&SIZES[0]);
            let (chunk, after) = rest.split_at(size.min(rest.len()));
            let text = self.sized.text(size, || {
                let columns = self.columns.join(", ");
                format!("WITH want({columns}) AS (VALUES {}) {}", tuples(self.columns.len(), size), self.select)
            });
            let padding = std::iter::repeat_n(last, size - chunk.len());
            let query = chunk.iter().chain(padding).flatten().fold(sqlx::query(text), bind);
            found.extend(query.fetch_all(&mut *connection).await?);
            rest = after;
        }
        Ok(found)
    }
}

/// Runs one statement with its values.
pub(crate) async fn execute(
    connection: &mut SqliteConnection,
    text: &'static str,
    values: &[Value],
) -> Result<u64, sqlx::Error> {
    let query = values.iter().fold(sqlx::query(text), bind);
    Ok(query.execute(connection).await?.rows_affected())
}

/// All rows of one statement, in the writer's transaction.
pub(crate) async fn fetch_rows(
    connection: &mut SqliteConnection,
    text: &'static str,
    values: &[Value],
) -> Result<Vec<SqliteRow>, sqlx::Error> {
    values.iter().fold(sqlx::query(text), bind).fetch_all(connection).await
}

/// All rows of one statement.
pub(crate) async fn fetch_all(
    pool: &SqlitePool,
    text: &'static str,
    values: &[Value],
) -> Result<Vec<SqliteRow>, sqlx::Error> {
    values.iter().fold(sqlx::query(text), bind).fetch_all(pool).await
}

/// The rows of one statement, one at a time.
pub(crate) fn fetch<'a>(
    database: impl SqliteExecutor<'a> + 'a,
    text: &'static str,
    values: &'a [Value],
) -> BoxStream<'a, Result<SqliteRow, sqlx::Error>> {
    values.iter().fold(sqlx::query(text), bind).fetch(database)
}

/// The first row of one statement.
pub(crate) async fn fetch_optional(
    pool: &SqlitePool,
    text: &'static str,
    values: &[Value],
) -> Result<Option<SqliteRow>, sqlx::Error> {
    values.iter().fold(sqlx::query(text), bind).fetch_optional(pool).await
}

/// The schema with this engine's words filled in.
fn schema() -> String {
    include_str!("schema.sql")
        // Only by this word is the key the table's own order; any other integer type gets an index beside the table.
        .replace("{ID}", "INTEGER")
        .replace("{BYTES}", "BLOB")
        .replace("{TEXTKEY}", "TEXT")
        .replace("{ROWLESS}", "WITHOUT ROWID")
}

/// Creates every table in an empty database file.
pub(crate) async fn create(path: &Path) -> Result<(), StoreError> {
    // Only before the first table: without it, deleting rows never makes the file smaller.
    let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
    let options = options.auto_vacuum(SqliteAutoVacuum::Incremental);
    let mut connection = open(path, options).await?;
    let mut transaction = connection.begin().await.map_err(StoreError::database("begin"))?;
    sqlx::raw_sql(AssertSqlSafe(schema()))
        .execute(&mut *transaction)
        .await
        .map_err(StoreError::database("create the tables"))?;
    transaction.commit().await.map_err(StoreError::database("create the tables"))?;
    connection.close().await.map_err(StoreError::database("close"))
}

/// Opens the one connection that writes. It syncs each commit and never checkpoints on its own.
pub(crate) async fn open_writer(path: &Path) -> Result<SqliteConnection, StoreError> {
    open(path, SqliteConnectOptions::new().filename(path).create_if_missing(false)).await
}

async fn open(path: &Path, options: SqliteConnectOptions) -> Result<SqliteConnection, StoreError> {
    let options = options
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .pragma("wal_autocheckpoint", "0")
        .busy_timeout(BUSY_TIMEOUT)
        .statement_cache_capacity(STATEMENTS_MAX);
    let mut connection =
        SqliteConnection::connect_with(&options).await.map_err(StoreError::database("open for writing"))?;
    let version: String = sqlx::query("SELECT sqlite_version()")
        .fetch_one(&mut connection)
        .await
        .and_then(|row| row.try_get(0))
        .map_err(StoreError::database("read its version"))?;
    // Before 3.51.3 a WAL reset could race with a reader and damage the file.
    if parse_version(&version) < SQLITE_MIN {
        return Err(StoreError::damaged(format!("{}: sqlite {version} is too old", path.display())));
    }
    Ok(connection)
}

fn parse_version(text: &str) -> [u32; 3] {
    let mut parts = text.split('.').map(|part| part.parse().unwrap_or(0));
    [(); 3].map(|()| parts.next().unwrap_or(0))
}

/// Opens the connections that read.
pub(crate) fn open_readers(path: &Path) -> SqlitePool {
    let options = reading(path);
    SqlitePoolOptions::new().max_connections(READERS_MAX).test_before_acquire(false).connect_lazy_with(options)
}

/// Opens one more connection that reads, for what takes long.
pub(crate) async fn open_reader(path: &Path) -> Result<SqliteConnection, StoreError> {
    SqliteConnection::connect_with(&reading(path)).await.map_err(StoreError::database("open for reading"))
}

fn reading(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .read_only(true)
        .busy_timeout(BUSY_TIMEOUT)
        .statement_cache_capacity(STATEMENTS_MAX)
}

/// A column of a row; a wrong type means the database is damaged.
pub(crate) fn column<'r, T>(row: &'r SqliteRow, at: usize) -> Result<T, StoreError>
where
    T: sqlx::Decode<'r, Sqlite> + sqlx::Type<Sqlite>,
{
    row.try_get(at).map_err(StoreError::database("read a column"))
}

const SQLITE_MIN: [u32; 3] = [3, 51, 3];
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
const STATEMENTS_MAX: usize = 200;
const READERS_MAX: u32 = 4;
