//! The file of a Unix socket.
//!
//! A server that was killed leaves its file behind. Nobody listens on that any more, so whoever comes next
//! takes its place; a file on which somebody listens is never taken, nor is one removed that another has put
//! where ours was.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// Whoever may enter the directory may connect, and is asked who he is; PostgreSQL's default.
const PERMISSIONS: u32 = 0o777;

/// Removed when it is dropped.
pub struct SocketFile {
    path: PathBuf,
    identity: Identity,
}

/// Device and inode.
type Identity = (u64, u64);

impl SocketFile {
    #[allow(clippy::disallowed_methods, reason = "a socket is no data")]
    pub fn listen(path: &Path) -> io::Result<(UnixListener, SocketFile)> {
        if is_forsaken(path)? {
            fs::remove_file(path)?;
        }
        let listener = UnixListener::bind(path)?;
        let file = SocketFile {
            path: path.to_owned(),
            identity: identity(path)?,
        };
        fs::set_permissions(path, fs::Permissions::from_mode(PERMISSIONS))?;
        listener.set_nonblocking(true)?;
        Ok((listener, file))
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SocketFile {
    #[allow(clippy::disallowed_methods, reason = "a socket is no data")]
    fn drop(&mut self) {
        // Who removed it already did what was to be done.
        if identity(&self.path).is_ok_and(|found| found == self.identity) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "a socket is no data")]
fn identity(path: &Path) -> io::Result<Identity> {
    let metadata = fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

/// Whether it is a socket on which nobody listens.
#[allow(clippy::disallowed_methods, reason = "a socket is no data")]
fn is_forsaken(path: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
        Ok(metadata) if !metadata.file_type().is_socket() => return Ok(false),
        Ok(_) => {}
    }
    match UnixStream::connect(path) {
        Err(error) => Ok(error.kind() == io::ErrorKind::ConnectionRefused),
        Ok(_) => Ok(false),
    }
}
