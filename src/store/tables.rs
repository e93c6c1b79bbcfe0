//! The tables that imports make.

use sqlx::{AssertSqlSafe, Row as _};

use crate::{
    error::{Error, Result},
    model::layer::Layer,
    sql::{
        fragment::{Fragment, Ident},
        select,
    },
};

use super::Store;

impl Store {
    /// Makes a schema if need be, and makes sure that no table stands where one is to be loaded.
    pub async fn make_room(&self, schema: &str, table: &str) -> Result<()> {
        let row = sqlx::query("select to_regclass($1) is not null")
            .bind(Ident::qualified(schema, table).as_str())
            .fetch_one(self.pool())
            .await?;
        if row.try_get(0)? {
            return Err(Error::NotSupported(format!(
                "table {schema}.{table} exists already; choose another --layer-name, or publish the table as it is with syncline publish"
            )));
        }
        self.run(&format!("create schema if not exists {}", Ident::new(schema).as_str())).await
    }

    /// Drops a table that could not be loaded or published.
    pub async fn discard(&self, schema: &str, table: &str) -> Result<()> {
        self.run(&format!("drop table if exists {}", Ident::qualified(schema, table).as_str())).await
    }

    /// Gives the planner, and the extents of the layer, their statistics.
    pub async fn analyze(&self, schema: &str, table: &str) -> Result<()> {
        self.run(&format!("analyze {}", Ident::qualified(schema, table).as_str())).await
    }

    async fn run(&self, ddl: &str) -> Result<()> {
        // Made of quoted names only.
        sqlx::raw_sql(AssertSqlSafe(ddl.to_owned())).execute(self.pool()).await?;
        Ok(())
    }

    /// How many rows the table of a layer has.
    pub async fn count(&self, layer: &Layer) -> Result<i64> {
        let mut statement = Fragment::new("-- table_count\nselect count(*) from ");
        statement.ident(&select::table(layer));
        Ok(statement.query()?.fetch_one(self.pool()).await?.try_get(0)?)
    }
}
