//! What a server needs to speak TLS, made for one test.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use crate::{process::Program, program, user::User};

/// An authority that nobody else knows, and a certificate that it has signed for one server.
#[derive(Debug)]
pub struct Certificates {
    folder: TempDir,
}

/// Whose signature the clients are to trust.
const AUTHORITY: &str = "authority.pem";
const CERTIFICATE: &str = "server.pem";
const KEY: &str = "server.key";

impl Certificates {
    /// Makes them for a server on the loopback.
    ///
    /// # Panics
    ///
    /// If `openssl` does not make them; if it is not installed and `CI` is set.
    #[must_use]
    pub fn make() -> Option<Self> {
        Self::make_for("IP:127.0.0.1")
    }

    /// Makes them for a server of another name, such as `DNS:elsewhere.example`.
    ///
    /// # Panics
    ///
    /// As [`make`](Self::make) does.
    #[must_use]
    pub fn make_for(name: &str) -> Option<Self> {
        let openssl = program::find("openssl")?;
        let made = made(&openssl, name);
        Some(made.unwrap_or_else(|error| panic!("openssl makes no certificates: {error}")))
    }

    /// Returns the file with the authority's certificate, which clients are to trust.
    #[must_use]
    pub fn authority(&self) -> PathBuf {
        self.folder.path().join(AUTHORITY)
    }

    /// Returns the file with the server's certificate. It is good for a client too.
    #[must_use]
    pub fn certificate(&self) -> PathBuf {
        self.folder.path().join(CERTIFICATE)
    }

    /// Returns the file with the key of the certificate.
    #[must_use]
    pub fn key(&self) -> PathBuf {
        self.folder.path().join(KEY)
    }

    /// Copies them to where a server may read them, and returns what its settings of these names
    /// are.
    pub(crate) fn settings(
        &self,
        [authority, certificate, key]: [&str; 3],
        folder: &Path,
        user: Option<User>,
    ) -> io::Result<Vec<(String, String)>> {
        let files = [
            (authority, AUTHORITY),
            (certificate, CERTIFICATE),
            (key, KEY),
        ];
        let settings = files.into_iter().map(|(setting, file)| {
            let copy = folder.join(file);
            fs::copy(self.folder.path().join(file), &copy)?;
            user.map_or(Ok(()), |user| user.give(&copy))?;
            Ok((setting.to_owned(), copy.display().to_string()))
        });
        settings.collect()
    }
}

fn made(openssl: &Path, name: &str) -> io::Result<Certificates> {
    let folder = TempDir::with_prefix("silverback-certificates-")?;
    let conf = format!(
        "[req]\ndistinguished_name = subject\n[subject]\n\
         [authority]\nbasicConstraints = critical, CA:TRUE\n\
         [server]\nbasicConstraints = critical, CA:FALSE\nsubjectAltName = {name}\n"
    );
    fs::write(folder.path().join("openssl.cnf"), conf)?;
    let sign = |more: &[&str]| {
        let new =
            "req -x509 -config openssl.cnf -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
        Program::new(openssl, new.split(' '))
            .with(more)
            .run_to_end(folder.path())
    };
    sign(&[
        "-extensions",
        "authority",
        "-subj",
        "/CN=silverback tests",
        "-keyout",
        "authority.key",
        "-out",
        AUTHORITY,
    ])?;
    sign(&[
        "-extensions",
        "server",
        "-subj",
        "/CN=server",
        "-keyout",
        KEY,
        "-out",
        CERTIFICATE,
        "-CA",
        AUTHORITY,
        "-CAkey",
        "authority.key",
    ])?;
    Ok(Certificates { folder })
}
