//! Reads and edits rows behind the product's back, as an operator with a shell could.

use std::path::Path;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Connection as _, Row as _};

/// A connection of its own to the database of a data folder; each call ends it.
pub(crate) struct Rows(SqliteConnection);

impl Rows {
    /// Connects.
    pub(crate) async fn open(data: &Path) -> Self {
        let options = SqliteConnectOptions::new().filename(data.join("docket.db"));
        Self(SqliteConnection::connect_with(&options).await.expect("opened"))
    }

    /// The bytes in one column of one row.
    pub(crate) async fn bytes(mut self, table: &str, column: &str, row: &str) -> Vec<u8> {
        let bytes = self.read(table, column, row).await;
        self.close().await;
        bytes
    }

    /// The bytes of all entries, in order.
    pub(crate) async fn entries(mut self) -> Vec<Vec<u8>> {
        let rows = sqlx::query("SELECT bytes FROM entry ORDER BY idx").fetch_all(&mut self.0).await.expect("read");
        self.close().await;
        rows.iter().map(|row| row.try_get(0).expect("bytes")).collect()
    }

    /// Size and root of every signed head, oldest first.
    pub(crate) async fn heads(mut self) -> Vec<(u64, [u8; 32])> {
        const TEXT: &str = "SELECT tree_size, root FROM batch ORDER BY tree_size";
        let rows = sqlx::query(TEXT).fetch_all(&mut self.0).await.expect("read");
        self.close().await;
        let size = |row: &SqliteRow| u64::try_from(row.get::<i64, _>(0)).expect("a size");
        let root = |row: &SqliteRow| row.get::<Vec<u8>, _>(1).try_into().expect("32 bytes");
        rows.iter().map(|row| (size(row), root(row))).collect()
    }

    /// The text of every table and index.
    pub(crate) async fn schema(mut self) -> Vec<String> {
        const TEXT: &str = "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name";
        let rows = sqlx::query(TEXT).fetch_all(&mut self.0).await.expect("read");
        self.close().await;
        rows.iter().map(|row| row.try_get(0).expect("text")).collect()
    }

    /// Flips one bit of the last byte in one column of one row.
    pub(crate) async fn flip(mut self, table: &str, column: &str, row: &str) {
        let mut bytes = self.read(table, column, row).await;
        *bytes.last_mut().expect("not empty") ^= 1;
        let text = format!("UPDATE {table} SET {column} = $1 WHERE {row}");
        let done = sqlx::query(AssertSqlSafe(text)).bind(bytes).execute(&mut self.0).await.expect("edited");
        assert_eq!(done.rows_affected(), 1, "{table}.{column}");
        self.close().await;
    }

    /// Runs statements that must touch at least one row.
    pub(crate) async fn edit(self, text: &str) {
        assert_ne!(self.run(text).await, 0, "{text}");
    }

    /// Runs statements: how many rows they touched.
    pub(crate) async fn run(mut self, text: &str) -> u64 {
        let done = sqlx::raw_sql(AssertSqlSafe(text.to_owned())).execute(&mut self.0).await.expect("edited");
        self.close().await;
        done.rows_affected()
    }

    async fn read(&mut self, table: &str, column: &str, row: &str) -> Vec<u8> {
        let text = format!("SELECT {column} FROM {table} WHERE {row}");
        let row = sqlx::query(AssertSqlSafe(text)).fetch_one(&mut self.0).await.expect("one row");
        row.try_get(0).expect("bytes")
    }

    async fn close(self) {
        self.0.close().await.expect("closed");
    }
}
