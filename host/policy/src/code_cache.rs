//! Compiled code on disk. Mapping such a file back is as good as running it, so a file counts only
//! when it carries the authentication code that this host's own key gives it; every other file is
//! compiled anew and replaced.

use std::fs::{self, File, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use wasmtime::Engine;
use wasmtime::component::Component;

use prism_domain::ids::Digest;

const KEY_BYTES: usize = 32;
const MAC_BYTES: usize = 32;
/// The largest file that is read back, in bytes; compiled Python and JavaScript runtimes are near 40 MB.
const FILE_MAX_BYTES: u64 = 256 << 20;

/// A folder of compiled components that only this host can write to.
#[derive(Debug)]
pub(crate) struct CodeCache {
    folder: PathBuf,
    key: [u8; KEY_BYTES],
    files_written: AtomicU64,
}

impl CodeCache {
    /// Opens the folder, making it and its key when they are missing. A key that others could have
    /// read or written is replaced, and with it everything in the cache.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        refuse_shared(folder)?;
        let path = folder.join("key");
        let key = match load_key(&path)? {
            Some(key) => key,
            None => make_key(folder, &path)?,
        };
        Ok(Self { folder: folder.to_owned(), key, files_written: AtomicU64::new(0) })
    }

    /// The compiled component, when the cache holds it and nobody has touched it.
    pub(crate) fn load(&self, engine: &Engine, wasm: Digest) -> Option<Component> {
        let name = file_name(engine, wasm);
        let bytes = match read_bounded(&self.folder.join(&name)) {
            Ok(bytes) => bytes,
            Err(why) if why.kind() == io::ErrorKind::NotFound => return None,
            Err(why) => {
                tracing::warn!(file = name, error = %why, "compiled code cannot be read");
                return None;
            }
        };
        let (code, mac) = bytes.split_at_checked(bytes.len().checked_sub(MAC_BYTES)?)?;
        if self.mac(&name, code)?.verify_slice(mac).is_err() {
            tracing::warn!(file = name, "compiled code was changed on disk; it is compiled anew");
            return None;
        }
        match map_code(engine, code) {
            Ok(component) => Some(component),
            Err(why) => {
                tracing::warn!(file = name, error = %why, "compiled code does not fit this engine");
                None
            }
        }
    }

    /// Stores compiled code: first under a name of its own, then in place at once.
    pub(crate) fn store(&self, engine: &Engine, wasm: Digest, code: &[u8]) -> io::Result<()> {
        let name = file_name(engine, wasm);
        let mac = self.mac(&name, code).ok_or(io::ErrorKind::InvalidInput)?;
        let serial = self.files_written.fetch_add(1, Ordering::Relaxed);
        let temporary = self.folder.join(format!(".{name}.{}.{serial}", std::process::id()));
        let written = write_new(&temporary, &[code, &mac.finalize().into_bytes()])
            .and_then(|()| fs::rename(&temporary, self.folder.join(name)));
        if written.is_err() {
            // What is left of a failed write is only litter; the first error is the one to tell.
            drop(fs::remove_file(&temporary));
        }
        written
    }

    /// The name is authenticated too, so that one component's code cannot be put in another's place.
    fn mac(&self, name: &str, code: &[u8]) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).ok()?;
        mac.update(name.as_bytes());
        mac.update(&[0]);
        mac.update(code);
        Some(mac)
    }
}

/// By what is compiled and by everything that the compiled form depends on.
fn file_name(engine: &Engine, wasm: Digest) -> String {
    let mut hasher = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    format!("{wasm}-{:016x}.cwasm", hasher.finish())
}

#[expect(unsafe_code, reason = "the caller has authenticated the bytes as our own engine's output")]
fn map_code(engine: &Engine, code: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: `code` was written by `store`, from this engine's own compiler: the caller checked its
    // authentication code, whose key nobody but this host holds, over these very bytes in memory.
    unsafe { Component::deserialize(engine, code) }
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let size = file.metadata()?.len();
    if size > FILE_MAX_BYTES {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
    file.take(FILE_MAX_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// In a folder that others can write to, even the key could be theirs.
fn refuse_shared(folder: &Path) -> io::Result<()> {
    let (found, own_uid) = (fs::metadata(folder)?, fs::metadata("/proc/self")?.uid());
    if found.uid() == own_uid && found.mode() & 0o022 == 0 {
        return Ok(());
    }
    let what = format!("`{}` can be written to by others", folder.display());
    Err(io::Error::new(io::ErrorKind::PermissionDenied, what))
}

fn load_key(path: &Path) -> io::Result<Option<[u8; KEY_BYTES]>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(why) => return Err(why),
    };
    if file.metadata()?.mode() & 0o077 != 0 {
        tracing::warn!("the code cache's key was open to others; it is replaced");
        return Ok(None);
    }
    let mut key = [0; KEY_BYTES];
    match file.read_exact(&mut key) {
        Ok(()) => Ok(Some(key)),
        Err(why) if why.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(why) => Err(why),
    }
}

/// Two processes may start at once: whoever renames last wins, and the other's files are compiled anew.
fn make_key(folder: &Path, path: &Path) -> io::Result<[u8; KEY_BYTES]> {
    let mut key = [0; KEY_BYTES];
    File::open("/dev/urandom")?.read_exact(&mut key)?;
    let temporary = folder.join(format!(".key.{}", std::process::id()));
    write_new(&temporary, &[&key])?;
    fs::rename(&temporary, path)?;
    Ok(key)
}

fn write_new(path: &Path, parts: &[&[u8]]) -> io::Result<()> {
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    for part in parts {
        file.write_all(part)?;
    }
    // Not synced: a file that a crash left half written fails its authentication and is made anew.
    Ok(())
}
