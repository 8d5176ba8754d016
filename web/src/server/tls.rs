//! TLS with the certificates of the configuration, which can be read again while serving.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::config::{Config, Tls};
use crate::route::Hosts;

/// Why a certificate can't be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("cannot read {path}: {source}")]
    Unreadable {
        path: PathBuf,
        source: rustls::pki_types::pem::Error,
    },
    #[error("{0} holds no certificate")]
    NoCertificate(PathBuf),
    #[error("{cert} and {key} don't go together: {source}")]
    Mismatch {
        cert: PathBuf,
        key: PathBuf,
        source: rustls::Error,
    },
    #[error("TLS can't be set up: {0}")]
    Setup(#[from] rustls::Error),
}

/// The certificates in use; clones are handles to the same ones.
#[derive(Clone)]
pub struct Certificates(Arc<Resolver>);

struct Resolver {
    config: Vec<Option<Tls>>,
    fallback: Option<Tls>,
    hosts: Hosts,
    provider: Arc<CryptoProvider>,
    loaded: RwLock<Loaded>,
}

#[derive(Default)]
struct Loaded {
    /// By site.
    sites: Vec<Option<Arc<CertifiedKey>>>,
    fallback: Option<Arc<CertifiedKey>>,
}

impl Certificates {
    /// Reads the certificates of the server and of its sites.
    pub fn load(config: &Config) -> Result<Self, TlsError> {
        let resolver = Resolver {
            config: config.sites.iter().map(|site| site.tls.clone()).collect(),
            fallback: config.server.tls.clone(),
            hosts: Hosts::new(config.sites.iter().map(|site| site.hosts.as_slice())),
            provider: Arc::new(rustls::crypto::ring::default_provider()),
            loaded: RwLock::default(),
        };
        let certificates = Self(Arc::new(resolver));
        certificates.reload()?;
        Ok(certificates)
    }

    /// Reads them again; when one can't be used, all stay as they were.
    pub fn reload(&self) -> Result<(), TlsError> {
        let load = |tls: &Option<Tls>| {
            let tls = tls.as_ref();
            tls.map(|tls| certified_key(tls, &self.0.provider))
                .transpose()
        };
        let loaded = Loaded {
            sites: self.0.config.iter().map(load).collect::<Result<_, _>>()?,
            fallback: load(&self.0.fallback)?,
        };
        *self
            .0
            .loaded
            .write()
            .unwrap_or_else(PoisonError::into_inner) = loaded;
        Ok(())
    }

    /// For an acceptor: HTTP/2 and HTTP/1.1, TLS 1.2 and 1.3.
    pub fn server_config(&self) -> Result<Arc<rustls::ServerConfig>, TlsError> {
        let mut config = rustls::ServerConfig::builder_with_provider(self.0.provider.clone())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(self.0.clone());
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let loaded = self.loaded.read().unwrap_or_else(PoisonError::into_inner);
        let site = hello.server_name().and_then(|name| self.hosts.find(name));
        let own = site
            .and_then(|site| loaded.sites.get(site))
            .and_then(Option::clone);
        // Without a server name, or for a site without its own: better a certificate of another name
        // than a handshake that fails without a reason.
        own.or_else(|| loaded.fallback.clone())
            .or_else(|| loaded.sites.iter().flatten().next().cloned())
    }
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resolver")
            .field("hosts", &self.hosts)
            .finish_non_exhaustive()
    }
}

fn certified_key(tls: &Tls, provider: &CryptoProvider) -> Result<Arc<CertifiedKey>, TlsError> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |source| TlsError::Unreadable { path, source }
    };
    let chain = CertificateDer::pem_file_iter(&tls.cert)
        .map_err(unreadable(&tls.cert))?
        .collect::<Result<Vec<_>, _>>()
        .map_err(unreadable(&tls.cert))?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate(tls.cert.clone()));
    }
    let key = PrivateKeyDer::from_pem_file(&tls.key).map_err(unreadable(&tls.key))?;
    let key =
        CertifiedKey::from_der(chain, key, provider).map_err(|source| TlsError::Mismatch {
            cert: tls.cert.clone(),
            key: tls.key.clone(),
            source,
        })?;
    Ok(Arc::new(key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::pki_types::ServerName;
    use std::fs;
    use tokio_rustls::{TlsAcceptor, TlsConnector};

    struct Fixture {
        folder: tempfile::TempDir,
        roots: rustls::RootCertStore,
    }

    impl Fixture {
        fn new() -> Self {
            Self {
                folder: tempfile::tempdir().unwrap(),
                roots: rustls::RootCertStore::empty(),
            }
        }

        /// Writes `file.pem` and `file.key` for a host, signed by itself; clients trust it.
        fn certify(&mut self, file: &str, host: &str) {
            let certified = rcgen::generate_simple_self_signed([host.to_owned()]).unwrap();
            self.roots.add(certified.cert.der().clone()).unwrap();
            let path = |end: &str| self.folder.path().join(format!("{file}.{end}"));
            fs::write(path("pem"), certified.cert.pem()).unwrap();
            fs::write(path("key"), certified.signing_key.serialize_pem()).unwrap();
        }

        fn config(&self) -> Config {
            let text = "[server]\nlisten = \"tls:127.0.0.1:0\"\n\
                 tls_cert = \"main.pem\"\ntls_key = \"main.key\"\n\
                 [[site]]\nroot = \".\"\n\
                 [[site]]\nroot = \".\"\nhosts = \"shop.example\"\n\
                 tls_cert = \"shop.pem\"\ntls_key = \"shop.key\"\n";
            let path = Path::new("troupe.toml");
            Config::parse(path, text.into(), self.folder.path(), Default::default()).unwrap()
        }

        /// Whether a client that trusts our certificates finds the right one for `host`, and the
        /// protocol agreed on.
        async fn connect(
            &self,
            certificates: &Certificates,
            host: &str,
        ) -> Result<Vec<u8>, String> {
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let mut client = rustls::ClientConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_root_certificates(self.roots.clone())
                .with_no_client_auth();
            client.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
            let acceptor = TlsAcceptor::from(certificates.server_config().unwrap());
            let connector = TlsConnector::from(Arc::new(client));
            let (near, far) = tokio::io::duplex(16 * 1024);
            let name = ServerName::try_from(host.to_owned()).unwrap();
            let (client, _) = tokio::join!(connector.connect(name, near), acceptor.accept(far));
            let client = client.map_err(|error| error.to_string())?;
            Ok(client
                .get_ref()
                .1
                .alpn_protocol()
                .unwrap_or_default()
                .to_vec())
        }
    }

    #[actix_web::test]
    async fn each_host_gets_its_certificate_and_http2_is_offered() {
        let mut fixture = Fixture::new();
        fixture.certify("main", "main.example");
        fixture.certify("shop", "shop.example");
        let certificates = Certificates::load(&fixture.config()).unwrap();
        for host in ["main.example", "shop.example"] {
            assert_eq!(
                fixture.connect(&certificates, host).await,
                Ok(b"h2".to_vec()),
                "{host}"
            );
        }
        assert!(
            fixture
                .connect(&certificates, "other.example")
                .await
                .is_err()
        );
    }

    #[actix_web::test]
    async fn certificates_are_read_again_and_broken_ones_change_nothing() {
        let mut fixture = Fixture::new();
        fixture.certify("main", "old.example");
        fixture.certify("shop", "shop.example");
        let certificates = Certificates::load(&fixture.config()).unwrap();
        fixture.certify("main", "new.example");
        certificates.reload().unwrap();
        assert!(fixture.connect(&certificates, "new.example").await.is_ok());
        fs::write(fixture.folder.path().join("shop.pem"), "").unwrap();
        fixture.certify("main", "newer.example");
        let error = certificates.reload().unwrap_err().to_string();
        assert!(error.ends_with("shop.pem holds no certificate"), "{error}");
        assert!(fixture.connect(&certificates, "new.example").await.is_ok());
    }

    #[test]
    fn a_key_of_another_certificate_is_refused() {
        let mut fixture = Fixture::new();
        fixture.certify("main", "main.example");
        fixture.certify("shop", "shop.example");
        let path = |file: &str| fixture.folder.path().join(file);
        fs::copy(path("main.key"), path("shop.key")).unwrap();
        let error = Certificates::load(&fixture.config()).err().unwrap();
        assert!(matches!(error, TlsError::Mismatch { .. }), "{error}");
    }
}
