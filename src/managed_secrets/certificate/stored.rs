//! The certificates in the Secret, and the next step of a renewal. Does no I/O.

use std::time::Duration;

use k8s_openapi::ByteString;
use time::OffsetDateTime;
use tokio_rustls::rustls::pki_types::UnixTime;
use tokio_rustls::rustls::sign::CertifiedKey;
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};
use x509_parser::extensions::GeneralName;

use super::super::secret::Data;
use crate::tls::{pem, provider};

/// Upper limit of the overlap: the time for which APIServices must have the next CA before replicas serve its
/// certificate. Each kube-apiserver watches the APIServices separately.
const OVERLAP_MAX: Duration = Duration::from_secs(3600);

/// A certificate is valid from this long before it is issued, because the clocks of two machines can differ.
pub(super) const BACKDATED_BY: Duration = Duration::from_secs(3600);

const PREVIOUS_AUTHORITY: &str = "previous-ca.crt";

/// The keys of a certificate in the Secret.
struct Keys {
    authority: &'static str,
    certificate: &'static str,
    key: &'static str,
}

/// The same keys as in a Secret of cert-manager.
const CURRENT: Keys = Keys {
    authority: "ca.crt",
    certificate: "tls.crt",
    key: "tls.key",
};

const NEXT: Keys = Keys {
    authority: "next-ca.crt",
    certificate: "next-tls.crt",
    key: "next-tls.key",
};

/// The content of the Secret.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    /// The certificate that the replicas serve.
    pub(super) current: Issued,
    /// The certificate that the replicas serve once every kube-apiserver trusts its CA.
    next: Option<Issued>,
    /// The CA of the previous certificate, in PEM. A replica may still serve this certificate.
    previous_authority: Option<String>,
}

/// A certificate with its CA and private key, all PEM.
#[derive(Clone)]
pub(super) struct Issued {
    pub(super) authority: String,
    pub(super) certificate: String,
    pub(super) key: String,
    pub(super) validity: Validity,
    pub(super) dns_names: Vec<String>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Validity {
    pub(super) issued: OffsetDateTime,
    pub(super) expires: OffsetDateTime,
}

/// The next step of a renewal.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Step {
    Wait,
    /// Create the next certificate.
    Renew,
    /// Serve the next certificate, as soon as [`Stored::may_switch`].
    Switch,
    /// Create a new certificate and serve it immediately, because no client accepts the current one.
    Replace,
}

impl Validity {
    fn lifetime(&self) -> Duration {
        (self.expires - self.issued).unsigned_abs()
    }

    fn renewal(&self) -> OffsetDateTime {
        self.issued + self.lifetime() * 2 / 3
    }

    fn overlap(&self) -> Duration {
        (self.lifetime() / 10).min(OVERLAP_MAX)
    }
}

impl Issued {
    fn parse(data: &Data, keys: &Keys) -> Result<Option<Self>, String> {
        let text = |key: &str| match data.get(key) {
            None => Ok(None),
            Some(ByteString(bytes)) => match String::from_utf8(bytes.clone()) {
                Ok(text) if text.trim().is_empty() => Ok(None),
                Ok(text) => Ok(Some(text)),
                Err(_) => Err(format!("{key} is not PEM")),
            },
        };
        let parts = (
            text(keys.authority)?,
            text(keys.certificate)?,
            text(keys.key)?,
        );
        let (authority, certificate, key) = match parts {
            (None, None, None) => return Ok(None),
            (Some(authority), Some(certificate), Some(key)) => (authority, certificate, key),
            _ => {
                return Err(format!(
                    "it must have all or none of {}, {} and {}",
                    keys.authority, keys.certificate, keys.key
                ));
            }
        };
        let named = |problem: String| format!("{}: {problem}", keys.certificate);
        pem::certificates(authority.as_bytes())
            .map_err(|error| format!("{} {error}", keys.authority))?;
        let (validity, dns_names) = read(&certificate).map_err(named)?;
        let issued = Self {
            authority,
            certificate,
            key,
            validity,
            dns_names,
        };
        issued.certified_key().map_err(named)?;
        match issued.is_signed() {
            true => Ok(Some(issued)),
            false => Err(format!(
                "{} has not signed {}",
                keys.authority, keys.certificate
            )),
        }
    }

    /// Returns whether the CA has signed the certificate.
    fn is_signed(&self) -> bool {
        let chain = pem::certificates(self.certificate.as_bytes()).unwrap_or_default();
        let authorities = pem::certificates(self.authority.as_bytes()).unwrap_or_default();
        let anchors = authorities.iter().map(anchor_from_trusted_cert);
        let (Some((leaf, intermediates)), Ok(anchors)) =
            (chain.split_first(), anchors.collect::<Result<Vec<_>, _>>())
        else {
            return false;
        };
        // An expired certificate is replaced, so it must not be an error here.
        let time_s = u64::try_from(self.validity.issued.unix_timestamp()).unwrap_or_default();
        let verified = EndEntityCert::try_from(leaf).map(|leaf| {
            leaf.verify_for_usage(
                provider::provider().signature_verification_algorithms.all,
                &anchors,
                intermediates,
                UnixTime::since_unix_epoch(Duration::from_secs(time_s)),
                KeyUsage::server_auth(),
                None,
                None,
            )
            .is_ok()
        });
        verified.unwrap_or(false)
    }

    /// Returns the certificate in the form that rustls serves.
    ///
    /// # Errors
    /// The private key does not belong to the certificate.
    pub(super) fn certified_key(&self) -> Result<CertifiedKey, String> {
        let chain = pem::certificates(self.certificate.as_bytes()).map_err(|e| e.to_string())?;
        let key = pem::private_key(self.key.as_bytes()).map_err(|e| e.to_string())?;
        CertifiedKey::from_der(chain, key, &provider::provider()).map_err(|e| e.to_string())
    }

    /// Returns whether clients cannot accept the certificate.
    fn is_unusable(&self, now: OffsetDateTime, dns_name: &str) -> bool {
        now >= self.validity.expires || !self.dns_names.iter().any(|name| name == dns_name)
    }

    fn write(&self, data: &mut Data, keys: &Keys) {
        for (key, text) in [
            (keys.authority, &self.authority),
            (keys.certificate, &self.certificate),
            (keys.key, &self.key),
        ] {
            data.insert(key.to_owned(), ByteString(text.clone().into_bytes()));
        }
    }
}

/// Without the private key.
impl std::fmt::Debug for Issued {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issued")
            .field("validity", &self.validity)
            .field("dns_names", &self.dns_names)
            .finish_non_exhaustive()
    }
}

impl Stored {
    pub(super) fn new(current: Issued) -> Self {
        Self {
            current,
            next: None,
            previous_authority: None,
        }
    }

    /// Reads the data of the Secret. Returns `None` if it has no certificate.
    ///
    /// # Errors
    /// A certificate is incomplete or invalid.
    pub(super) fn parse(data: &Data) -> Result<Option<Self>, String> {
        let Some(current) = Issued::parse(data, &CURRENT)? else {
            return Ok(None);
        };
        let previous = data.get(PREVIOUS_AUTHORITY);
        let previous = previous.map(|ByteString(bytes)| String::from_utf8(bytes.clone()));
        let invalid = |_| format!("{PREVIOUS_AUTHORITY} is not PEM");
        let previous_authority = previous.transpose().map_err(invalid)?;
        if let Some(authority) = &previous_authority {
            pem::certificates(authority.as_bytes())
                .map_err(|error| format!("{PREVIOUS_AUTHORITY} {error}"))?;
        }
        Ok(Some(Self {
            current,
            next: Issued::parse(data, &NEXT)?,
            previous_authority,
        }))
    }

    pub(super) fn data(&self) -> Data {
        let mut data = Data::new();
        self.current.write(&mut data, &CURRENT);
        if let Some(next) = &self.next {
            next.write(&mut data, &NEXT);
        }
        if let Some(previous) = &self.previous_authority {
            let previous = ByteString(previous.clone().into_bytes());
            data.insert(PREVIOUS_AUTHORITY.to_owned(), previous);
        }
        data
    }

    /// Returns the PEM of all CAs whose certificates a replica may serve now or soon.
    pub(super) fn ca_bundle(&self) -> Vec<u8> {
        let next = self.next.as_ref().map(|next| &next.authority);
        let all = [
            Some(&self.current.authority),
            next,
            self.previous_authority.as_ref(),
        ];
        let all = all.into_iter().flatten();
        // Someone may have written a CA that does not end with a line break.
        all.fold(Vec::new(), |mut bundle, authority| {
            bundle.extend_from_slice(authority.trim_end().as_bytes());
            bundle.push(b'\n');
            bundle
        })
    }

    pub(super) fn step(&self, now: OffsetDateTime, dns_name: &str) -> Step {
        let is_unusable = self.current.is_unusable(now, dns_name);
        match &self.next {
            Some(next) if !next.is_unusable(now, dns_name) => Step::Switch,
            _ if is_unusable => Step::Replace,
            Some(_) => Step::Renew,
            None if now >= self.current.validity.renewal() => Step::Renew,
            None => Step::Wait,
        }
    }

    /// Returns whether the next certificate can be served. `trusted_for` is the time since the APIServices got the CA
    /// bundle. If the current certificate has expired, requests already fail, so the switch is immediate.
    pub(super) fn may_switch(&self, now: OffsetDateTime, trusted_for: Option<Duration>) -> bool {
        let Some(next) = &self.next else {
            return false;
        };
        trusted_for.is_some_and(|time| time >= next.validity.overlap())
            || now >= self.current.validity.expires
    }

    /// Returns the content with a certificate to serve later.
    pub(super) fn with_next(self, next: Issued) -> Self {
        Self {
            current: self.current,
            next: Some(next),
            previous_authority: None,
        }
    }

    /// Returns the content in which the next certificate is the current one.
    pub(super) fn switched(self) -> Self {
        match self.next {
            None => self,
            Some(next) => Self {
                current: next,
                next: None,
                previous_authority: Some(self.current.authority),
            },
        }
    }
}

/// Returns the validity and the DNS names of a certificate.
fn read(certificate: &str) -> Result<(Validity, Vec<String>), String> {
    let chain = pem::certificates(certificate.as_bytes()).map_err(|error| error.to_string())?;
    let leaf = chain.first().ok_or("it has no certificate")?;
    let (_, leaf) = x509_parser::parse_x509_certificate(leaf).map_err(|error| error.to_string())?;
    let validity = Validity {
        issued: leaf.validity().not_before.to_datetime() + BACKDATED_BY,
        expires: leaf.validity().not_after.to_datetime(),
    };
    let names = leaf
        .subject_alternative_name()
        .map_err(|error| error.to_string())?;
    let names = names.map_or_else(Vec::new, |names| {
        let names = names.value.general_names.iter();
        names
            .filter_map(|name| match name {
                GeneralName::DNSName(name) => Some((*name).to_owned()),
                _ => None,
            })
            .collect()
    });
    Ok((validity, names))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls_pki_types::ServerName;
    use tokio_rustls::rustls::RootCertStore;
    use tokio_rustls::rustls::client::WebPkiServerVerifier;
    use tokio_rustls::rustls::client::danger::ServerCertVerifier;

    use super::super::issue::issue;
    use super::*;

    const NAME: &str = "claimgate.claimgate-system.svc";
    const HOUR: Duration = Duration::from_secs(3600);

    fn after(stored: &Stored, hours: u32) -> OffsetDateTime {
        stored.current.validity.issued + HOUR * hours
    }

    /// Returns whether a client that trusts the bundle accepts the certificate.
    fn is_accepted(bundle: &[u8], issued: &Issued, name: &str) -> bool {
        let mut roots = RootCertStore::empty();
        for authority in pem::certificates(bundle).unwrap() {
            roots.add(authority).unwrap();
        }
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider::provider());
        let leaf = pem::certificates(issued.certificate.as_bytes())
            .unwrap()
            .remove(0);
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let verifier = verifier.build().unwrap();
        let verified = verifier.verify_server_cert(&leaf, &[], &name, &[], UnixTime::now());
        verified.is_ok()
    }

    #[test]
    fn renewal_keeps_each_certificate_trusted() {
        let stored = Stored::new(issue(NAME, HOUR * 90).unwrap());
        let first = stored.current.clone();
        assert!(is_accepted(&stored.ca_bundle(), &first, NAME));
        assert!(!is_accepted(
            &stored.ca_bundle(),
            &first,
            "other.claimgate-system.svc"
        ));
        assert_eq!(stored.step(after(&stored, 59), NAME), Step::Wait);
        assert_eq!(stored.step(after(&stored, 61), NAME), Step::Renew);

        let stored = stored.with_next(issue(NAME, HOUR * 90).unwrap());
        let next = stored.next.clone().unwrap();
        for issued in [&first, &next] {
            assert!(is_accepted(&stored.ca_bundle(), issued, NAME));
        }
        assert_eq!(stored.step(after(&stored, 0), NAME), Step::Switch);
        let now = after(&stored, 62);
        assert!(!stored.may_switch(now, None));
        assert!(!stored.may_switch(now, Some(HOUR / 2)), "too early");
        assert!(stored.may_switch(now, Some(HOUR)));
        assert!(stored.may_switch(after(&stored, 90), None));

        let stored = stored.switched();
        assert_eq!(stored.current.certificate, next.certificate);
        for issued in [&first, &next] {
            assert!(is_accepted(&stored.ca_bundle(), issued, NAME));
        }
        assert_eq!(stored.step(after(&stored, 1), NAME), Step::Wait);
        let stored = stored.with_next(issue(NAME, HOUR * 90).unwrap());
        assert!(!is_accepted(&stored.ca_bundle(), &first, NAME));
    }

    #[test]
    fn unusable_certificate_is_replaced_at_once() {
        let stored = Stored::new(issue(NAME, HOUR * 90).unwrap());
        assert_eq!(stored.step(after(&stored, 90), NAME), Step::Replace);
        let other = "other.claimgate-system.svc";
        assert_eq!(stored.step(after(&stored, 1), other), Step::Replace);
        let stored = stored.with_next(issue(NAME, HOUR * 90).unwrap());
        assert_eq!(stored.step(after(&stored, 1), other), Step::Replace);
    }

    #[test]
    fn content_is_read_as_it_was_written() {
        let stored = Stored::new(issue(NAME, HOUR).unwrap());
        let stored = stored.with_next(issue(NAME, HOUR).unwrap()).switched();
        let stored = Stored {
            previous_authority: stored.previous_authority.clone(),
            ..stored.with_next(issue(NAME, HOUR).unwrap())
        };
        let read = Stored::parse(&stored.data()).unwrap().unwrap();
        assert_eq!(read.data(), stored.data());
        assert_eq!(read.current.dns_names, [NAME]);
        let differs_by = read.current.validity.expires - stored.current.validity.expires;
        assert!(differs_by.abs() < time::Duration::SECOND, "{differs_by}");
        assert!(Stored::parse(&Data::new()).unwrap().is_none());

        let mut data = stored.data();
        for key in ["ca.crt", "next-ca.crt", "previous-ca.crt"] {
            let ByteString(pem) = data.get_mut(key).unwrap();
            *pem = pem.trim_ascii_end().to_vec();
        }
        let bundle = Stored::parse(&data).unwrap().unwrap().ca_bundle();
        assert_eq!(pem::certificates(&bundle).unwrap().len(), 3);
    }

    #[test]
    fn incomplete_and_invalid_contents_are_errors() {
        let whole = Stored::new(issue(NAME, HOUR).unwrap()).data();
        for key in ["ca.crt", "tls.crt", "tls.key"] {
            let mut data = whole.clone();
            data.remove(key);
            assert!(
                Stored::parse(&data).unwrap_err().contains("all or none"),
                "{key}"
            );
            data.insert(key.to_owned(), ByteString(b"hello".to_vec()));
            assert!(Stored::parse(&data).is_err(), "{key}");
        }
        let mut data = whole.clone();
        let authority = Stored::new(issue(NAME, HOUR).unwrap()).current.authority;
        data.insert("ca.crt".to_owned(), ByteString(authority.into_bytes()));
        let error = Stored::parse(&data).unwrap_err();
        assert_eq!(error, "ca.crt has not signed tls.crt");
        let mut data = whole;
        let other = Stored::new(issue(NAME, HOUR).unwrap()).data();
        data.insert("tls.key".to_owned(), other["tls.key"].clone());
        assert!(Stored::parse(&data).unwrap_err().starts_with("tls.crt: "));
    }
}
