//! Temporary certificate authorities and certificates, as PEM. Keys stay in memory unless the caller
//! writes them to files. Not for production.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use time::{Duration, OffsetDateTime};

/// Generating a key or signing a certificate failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot make a temporary certificate: {0}")]
pub struct CertificateError(#[from] rcgen::Error);

/// A certificate authority with its key.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its private key, both as PEM.
#[derive(Clone, Debug)]
pub struct Identity {
    pub certificate: String,
    pub key: String,
}

const VALID_FOR: Duration = Duration::days(30);
/// How far in the past certificates become valid, because the clocks of containers differ.
const BACKDATED_BY: Duration = Duration::hours(1);

impl Authority {
    /// Creates a self-signed CA with the subject `common_name`.
    pub fn new(common_name: &str) -> Result<Self, CertificateError> {
        let mut params = params(common_name, &[])?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        Ok(Self { issuer })
    }

    /// Returns the certificate of the CA, as PEM.
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// Creates a serving certificate. `names` are DNS names or IP addresses.
    pub fn serving(&self, names: &[&str]) -> Result<Identity, CertificateError> {
        let common_name = names.first().copied().unwrap_or("localhost");
        self.issue(
            params(common_name, names)?,
            ExtendedKeyUsagePurpose::ServerAuth,
        )
    }

    /// Creates a client certificate. The common name is the user, and the first two organizations are the
    /// groups.
    pub fn client(
        &self,
        common_name: &str,
        organizations: &[&str],
    ) -> Result<Identity, CertificateError> {
        let mut params = params(common_name, &[])?;
        // rcgen keeps one value for each type. The OID of an organization counts as a second type.
        let types = [
            DnType::OrganizationName,
            DnType::CustomDnType(vec![2, 5, 4, 10]),
        ];
        for (kind, organization) in types.into_iter().zip(organizations) {
            params.distinguished_name.push(kind, *organization);
        }
        self.issue(params, ExtendedKeyUsagePurpose::ClientAuth)
    }

    /// Creates a client certificate that expired yesterday.
    pub fn expired_client(&self, common_name: &str) -> Result<Identity, CertificateError> {
        let mut params = params(common_name, &[])?;
        params.not_before = OffsetDateTime::now_utc() - Duration::days(2);
        params.not_after = OffsetDateTime::now_utc() - Duration::days(1);
        self.issue(params, ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn issue(
        &self,
        mut params: CertificateParams,
        usage: ExtendedKeyUsagePurpose,
    ) -> Result<Identity, CertificateError> {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Identity {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        })
    }
}

fn params(common_name: &str, names: &[&str]) -> Result<CertificateParams, CertificateError> {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    params.not_before = OffsetDateTime::now_utc() - BACKDATED_BY;
    params.not_after = OffsetDateTime::now_utc() + VALID_FOR;
    Ok(params)
}

#[cfg(test)]
mod tests {
    use super::*;
    use x509_parser::pem::parse_x509_pem;

    #[test]
    fn client_certificate_carries_user_and_groups() {
        let authority = Authority::new("clients").unwrap();
        let identity = authority.client("ada", &["dev-users", "admins"]).unwrap();
        let (_, pem) = parse_x509_pem(identity.certificate.as_bytes()).unwrap();
        let certificate = pem.parse_x509().unwrap();
        let subject = certificate.subject();
        assert_eq!(
            subject.iter_common_name().next().unwrap().as_str().unwrap(),
            "ada"
        );
        let groups: Vec<_> = subject
            .iter_organization()
            .map(|group| group.as_str().unwrap())
            .collect();
        assert_eq!(groups, ["dev-users", "admins"]);
    }
}
