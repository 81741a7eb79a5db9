//! The configuration of the daemon.
//!
//! [`load()`] turns a file and the environment into a checked [`Config`], or returns every problem
//! at once. A [`Config`] is complete: each reference points to something that exists, and every
//! certificate and key was readable when the configuration was checked.

mod apis;
mod check;
mod control_plane;
mod copies;
mod events;
mod files;
mod inputs;
mod kubeconfig;
mod listen;
mod load;
mod places;
mod problem;
mod references;
mod register;
mod secret_template;
mod section;
mod settings;
mod units;
mod warnings;

use std::path::Path;

pub use self::check::known_keys;
pub use self::copies::{ConnectionSecretsConfig, KeySelection, NamespaceSelection, SecretsConfig};
pub use self::events::EventsConfig;
pub use self::inputs::{InputConfig, InputKind, InputSource};
pub use self::places::Places;
pub use self::problem::{Problem, Problems};
pub use self::secret_template::{MissingKey, SecretTemplate};
pub use self::settings::{
    ApiConfig, AppClusterConfig, Authentication, CaInjection, CertificateAuthority,
    ClientCertificate, Compression, Config, ControlPlaneConfig, ControlPlaneLimits,
    CredentialsConfig, FrontProxyConfig, LimitsConfig, Listen, Log, LogFormat, OutageConfig,
    PemConfig, Priority, Register, RequestHeader, Resources, Secret, SelfManaged, ServerAddress,
    ServiceConfig, ServingCertificateConfig, Shutdown, TimeoutsConfig,
};
pub use self::warnings::{Warning, warnings};

/// Reads a configuration from a YAML, TOML or JSON file and from `CLAIMGATE_*` variables. The
/// variables override scalar keys of the file.
///
/// # Errors
/// Returns every problem in the configuration, each with its file, key and remedy.
pub fn load(
    path: &Path,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Config, Problems> {
    check::check(path, load::load(path, environment)?)
}
