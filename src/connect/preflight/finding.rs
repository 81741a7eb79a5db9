//! The result of one check.

use std::fmt;

use serde::Serialize;

/// One check of one cluster.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// The context of the cluster.
    pub context: String,
    pub check: &'static str,
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// The result of a check.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "result", rename_all = "camelCase")]
pub enum Outcome {
    Passed { message: String },
    Warning { problem: String, cure: String },
    Failed { problem: String, cure: String },
}

impl Outcome {
    pub(super) fn passed(message: impl Into<String>) -> Self {
        Self::Passed {
            message: message.into(),
        }
    }

    pub(super) fn warning(problem: impl Into<String>, cure: impl Into<String>) -> Self {
        Self::Warning {
            problem: problem.into(),
            cure: cure.into(),
        }
    }

    pub(super) fn failed(problem: impl Into<String>, cure: impl Into<String>) -> Self {
        Self::Failed {
            problem: problem.into(),
            cure: cure.into(),
        }
    }
}

/// As one line: `failed   my-app-cluster  clock: …; …`.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (result, message) = match &self.outcome {
            Outcome::Passed { message } => ("passed", message.clone()),
            Outcome::Warning { problem, cure } => ("warning", format!("{problem}; {cure}")),
            Outcome::Failed { problem, cure } => ("failed", format!("{problem}; {cure}")),
        };
        write!(f, "{result:<8} {}  {}: {message}", self.context, self.check)
    }
}
