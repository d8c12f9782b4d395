//! `grafana.json`, as a program reads it.

use serde::Deserialize;

/// A panel of the dashboard.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Panel {
    /// What stands above it.
    pub title: String,
    /// What it asks Prometheus.
    pub targets: Vec<Query>,
    field_config: FieldConfig,
}

/// A query of a panel.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Query {
    /// In PromQL, with Grafana's variables.
    pub expr: String,
    /// What its lines are called: a label between double braces stands for the label's value.
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
    /// Returns its unit, by Grafana's name for it.
    #[must_use]
    pub fn unit(&self) -> &str {
        &self.field_config.defaults.unit
    }
}

impl Query {
    /// Returns the query as Prometheus takes it: of all sessions, over so many seconds.
    #[must_use]
    pub fn promql(&self, seconds: u32) -> String {
        self.expr
            .replace("$__rate_interval", &format!("{seconds}s"))
            .replace("$session", ".*")
    }
}

/// Returns the panels of the dashboard, in the order in which it shows them.
///
/// # Errors
///
/// If the file is no dashboard.
pub fn panels() -> Result<Vec<Panel>, serde_json::Error> {
    let dashboard: Dashboard = serde_json::from_str(include_str!("../grafana.json"))?;
    Ok(dashboard.panels)
}
