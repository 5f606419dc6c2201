//! The sandbox: one engine, the log as the only thing offered to guests, and the way from bytes to
//! something that can be instantiated.

use std::io;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use wasmtime::component::{Component, InstancePre, Linker};

use prism_domain::ids::Digest;

use crate::call::{CallState, link_log};
use crate::code_cache::CodeCache;
use crate::engine::Clocked;
use crate::inspect::{Refusal, Wit, World};

/// The sandbox cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The engine does not start on this machine.
    #[error("the WebAssembly engine does not start: {0:#}")]
    Engine(wasmtime::Error),
    /// The thread of the epoch clock does not start.
    #[error("the epoch clock does not start: {0}")]
    Ticker(#[source] io::Error),
    /// The folder for compiled code cannot be used.
    #[error("the folder for compiled code cannot be used: {0}")]
    CodeCache(#[source] io::Error),
}

impl SandboxError {
    /// Stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Engine(_) => "sandbox-engine",
            Self::Ticker(_) => "sandbox-ticker",
            Self::CodeCache(_) => "sandbox-code-cache",
        }
    }
}

/// A component cannot be made ready.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It was refused before it was compiled.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The compiler refused it.
    #[error("does not compile: {0:#}")]
    Compile(wasmtime::Error),
    /// It asks for more than the pool has, or for imports that are not offered.
    #[error("does not link: {0:#}")]
    Link(wasmtime::Error),
}

impl LoadError {
    /// Stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Refused(refusal) => refusal.code(),
            Self::Compile(_) => "component-compile",
            Self::Link(_) => "component-link",
        }
    }
}

/// A component that can be instantiated.
#[derive(Clone)]
pub(crate) struct Prepared {
    pub(crate) digest: Digest,
    pub(crate) instance: InstancePre<CallState>,
}

/// One engine and what it offers to guests. Shared by every component of the process.
pub struct Sandbox {
    clocked: Clocked,
    linker: Linker<CallState>,
    code_cache: Option<CodeCache>,
    wit: OnceLock<Result<Wit, Refusal>>,
}

impl Sandbox {
    /// Starts the engine and its clock. With a folder, compiled code is kept there between runs.
    pub fn start(code_folder: Option<&Path>) -> Result<Arc<Self>, SandboxError> {
        let clocked = Clocked::start()?;
        let mut linker = Linker::new(&clocked.engine);
        link_log(&mut linker).map_err(SandboxError::Engine)?;
        let code_cache =
            code_folder.map(CodeCache::open).transpose().map_err(SandboxError::CodeCache)?;
        Ok(Arc::new(Self { clocked, linker, code_cache, wit: OnceLock::new() }))
    }

    /// Checks size, imports and shape of a component that came from outside. Nothing is compiled or run.
    pub fn check(&self, world: World, wasm: &[u8]) -> Result<(), Refusal> {
        match self.wit.get_or_init(Wit::embedded) {
            Ok(wit) => wit.check(world, wasm),
            Err(broken) => Err(broken.clone()),
        }
    }

    /// Compiles a component into the folder for compiled code, where other processes of this host find it.
    /// The compiler is no sandbox: components from outside are compiled so by a process that may be killed.
    pub fn compile_ahead(&self, wasm: &[u8]) -> Result<Digest, LoadError> {
        self.prepare(wasm).map(|prepared| prepared.digest)
    }

    /// Compiles a component, or takes its compiled code from the cache. The caller has checked it.
    pub(crate) fn prepare(&self, wasm: &[u8]) -> Result<Prepared, LoadError> {
        let digest = Digest::of(wasm);
        let engine = &self.clocked.engine;
        let cached = self.code_cache.as_ref().and_then(|cache| cache.load(engine, digest));
        let component = match cached {
            Some(component) => component,
            None => self.compile(digest, wasm)?,
        };
        let instance = self.linker.instantiate_pre(&component).map_err(LoadError::Link)?;
        Ok(Prepared { digest, instance })
    }

    fn compile(&self, digest: Digest, wasm: &[u8]) -> Result<Component, LoadError> {
        let engine = &self.clocked.engine;
        let component = Component::new(engine, wasm).map_err(LoadError::Compile)?;
        if let Some(cache) = &self.code_cache {
            let stored = component
                .serialize()
                .map_err(io::Error::other)
                .and_then(|code| cache.store(engine, digest, &code));
            if let Err(why) = stored {
                // Only the next start is slower for it.
                tracing::warn!(component = %digest, error = %why, "compiled code cannot be kept");
            }
        }
        Ok(component)
    }
}
