//! Creates a CA and the serving certificate that it signs.

use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
};
use time::OffsetDateTime;

use super::stored::{BACKDATED_BY, Issued, Validity};

/// Returns a new CA and certificate. The private key of the CA is dropped.
///
/// # Errors
/// The DNS name is not valid in a certificate.
pub(super) fn issue(dns_name: &str, lifetime: Duration) -> Result<Issued, rcgen::Error> {
    let now = OffsetDateTime::now_utc();
    let expires = now + lifetime;
    let params = |common_name: &str, names: Vec<String>| {
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name = DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::CommonName, common_name);
        params.not_before = now - BACKDATED_BY;
        params.not_after = expires;
        Ok::<_, rcgen::Error>(params)
    };
    // Each CA has a different name, so that a verifier never tries the wrong CA.
    let name = format!("claimgate {}", now.unix_timestamp());
    let mut authority = params(&name, Vec::new())?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
    let mut serving = params(dns_name, vec![dns_name.to_owned()])?;
    serving.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    serving.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate()?;
    let certificate = serving.signed_by(&key, &authority)?;
    Ok(Issued {
        authority: authority.pem(),
        certificate: certificate.pem(),
        key: key.serialize_pem(),
        validity: Validity {
            issued: now,
            expires,
        },
        dns_names: vec![dns_name.to_owned()],
    })
}
