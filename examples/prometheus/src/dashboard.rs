//! Reads `grafana.json`.

use serde::Deserialize;

/// A panel of the dashboard.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Panel {
    /// The title above the panel.
    pub title: String,
    /// The queries to Prometheus.
    pub targets: Vec<Query>,
    field_config: FieldConfig,
}

/// A query of a panel.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Query {
    /// The query in PromQL, with Grafana's variables.
    pub expr: String,
    /// The names of its lines. A label in double braces stands for the label's value.
    pub legend_format: String,
}

#[derive(Deserialize)]
struct Dashboard {
    panels: Vec<Panel>,
}

#[derive(Debug, Deserialize)]
struct FieldConfig {
    defaults: Defaults,
}

#[derive(Debug, Deserialize)]
struct Defaults {
    unit: String,
}

impl Panel {
    /// Returns Grafana's name of the unit.
    #[must_use]
    pub fn unit(&self) -> &str {
        &self.field_config.defaults.unit
    }
}

impl Query {
    /// Returns the query for Prometheus: for all sessions, over this many seconds.
    #[must_use]
    pub fn promql(&self, seconds: u32) -> String {
        self.expr
            .replace("$__rate_interval", &format!("{seconds}s"))
            .replace("$session", ".*")
    }
}

/// Returns the panels of the dashboard, in their order.
///
/// # Errors
///
/// If the file is not a dashboard.
pub fn panels() -> Result<Vec<Panel>, serde_json::Error> {
    let dashboard: Dashboard = serde_json::from_str(include_str!("../grafana.json"))?;
    Ok(dashboard.panels)
}
