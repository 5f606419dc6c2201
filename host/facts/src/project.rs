//! The modules of a project: what each is called when imported, and what its names stand for, across
//! files. A file cannot pass for an installed module.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use ruff_python_ast::{Expr, Stmt};
use smallvec::SmallVec;

use crate::key::Key;
use crate::known_names::{builtin, is_dunder, is_installed};
use crate::scope::{Binding, Scope, ScopeKind, cut, is_cut, is_joined, join};

/// The most things that one name may stand for; beyond, one of them is `AMBIGUOUS`.
pub(crate) const TARGETS_MAX: usize = 16;
/// What a name stands for that may be more things than are followed. No module is called so.
const AMBIGUOUS: &str = "<ambiguous>";
/// The longest chain of re-exports and aliases that is followed.
const STEPS_MAX: u32 = 16;

/// What a name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// Dotted name; a single word for a builtin.
    pub(crate) name: String,
    /// Whether it is defined in the project.
    pub(crate) local: bool,
}

/// What a name may stand for; empty when it is a value of unknown origin.
pub(crate) type Targets = Rc<Vec<Target>>;

/// Attributes one after the other; hardly ever more than these.
pub(crate) type Path<'a> = SmallVec<[&'a str; 4]>;

/// All that a name may stand for, each once, at most `TARGETS_MAX` and what stands for the rest.
pub(crate) fn bounded(candidates: impl Iterator<Item = Target>) -> Vec<Target> {
    let mut targets = Vec::new();
    for candidate in candidates {
        if targets.len() > TARGETS_MAX {
            break;
        }
        if !targets.contains(&candidate) {
            targets.push(candidate);
        }
    }
    if targets.len() > TARGETS_MAX {
        targets.truncate(TARGETS_MAX);
        targets.push(Target::ambiguous());
    }
    targets
}

/// A module of the project with the names that it binds.
pub(crate) struct ModuleScope<'a> {
    /// Path of the file.
    pub(crate) path: &'a str,
    /// Dotted name, from the root of the project.
    pub(crate) name: String,
    /// What relative imports in it start from.
    pub(crate) package: String,
    /// The names that it binds.
    pub(crate) scope: Scope<'a>,
    /// Its statements.
    pub(crate) body: &'a [Stmt],
}

/// All modules of a project.
pub(crate) struct Project<'a> {
    /// In the order given.
    pub(crate) modules: Vec<ModuleScope<'a>>,
    by_name: BTreeMap<String, usize>,
    packages: BTreeSet<String>,
    /// The most parts that the name of a module has.
    parts_max: usize,
    /// What the names of modules and packages begin with. Most names in a project begin with none of these.
    top_levels: BTreeSet<String>,
    /// What names that a module does not bind were found to stand for in it.
    unbound: RefCell<BTreeMap<(usize, String), Targets>>,
    /// Builtins that were asked for.
    builtins: RefCell<BTreeMap<usize, Targets>>,
    /// Scopes that were asked for, by the address of what has them.
    scopes: RefCell<BTreeMap<usize, Rc<Scope<'a>>>>,
}

impl Target {
    /// What cannot be followed to its end: no name is called so, and who knows what it stands for.
    pub(crate) fn ambiguous() -> Self {
        Self { name: AMBIGUOUS.to_owned(), local: false }
    }

    /// Something of the project's own. Where its name was cut, it may lead elsewhere.
    fn own(name: String) -> Self {
        if is_cut(&name) { Self::ambiguous() } else { Self { name, local: true } }
    }
}

impl<'a> Project<'a> {
    /// Collects the names of all modules. Files beside an entry module are found by their bare name
    /// as well, because the evaluator starts there.
    pub(crate) fn new(sources: &[(&'a str, &'a [Stmt])], entrypoints: &[String]) -> Self {
        let entry_folders: BTreeSet<&str> = entrypoints
            .iter()
            .filter_map(|path| path.rsplit_once('/').map(|(folder, _)| folder))
            .collect();
        let mut project = Self {
            modules: Vec::with_capacity(sources.len()),
            by_name: BTreeMap::new(),
            packages: BTreeSet::new(),
            parts_max: 0,
            top_levels: BTreeSet::new(),
            unbound: RefCell::default(),
            builtins: RefCell::default(),
            scopes: RefCell::default(),
        };
        for (path, body) in sources {
            let (name, package) = module_name(path);
            let scope = Scope::of_body(ScopeKind::Module, body, &package);
            let index = project.modules.len();
            project.register(&name, index);
            for folder in &entry_folders {
                let below = path.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/'));
                if let Some(beside) = below {
                    project.register(&module_name(beside).0, index);
                }
            }
            project.modules.push(ModuleScope { path, name, package, scope, body });
        }
        project
    }

    /// The scope of a node of the syntax trees, made when it is asked for the first time.
    pub(crate) fn scope_of<N>(
        &self,
        node: &'a N,
        make: impl FnOnce() -> Scope<'a>,
    ) -> Rc<Scope<'a>> {
        let address = std::ptr::from_ref(node).addr();
        let mut scopes = self.scopes.borrow_mut();
        Rc::clone(scopes.entry(address).or_insert_with(|| Rc::new(make())))
    }

    fn register(&mut self, name: &str, index: usize) {
        let top_level = name.split('.').next().unwrap_or(name);
        if name.is_empty() || is_installed(top_level) {
            return;
        }
        self.by_name.entry(name.to_owned()).or_insert(index);
        self.top_levels.insert(top_level.to_owned());
        self.parts_max = self.parts_max.max(name.split('.').count());
        for (at, _) in name.match_indices('.') {
            self.packages.extend(name.get(..at).map(str::to_owned));
        }
    }

    /// Index of the module in that file.
    pub(crate) fn module_at(&self, path: &str) -> Option<usize> {
        self.modules.iter().position(|module| module.path == path)
    }

    /// Whether a dotted name is a module or package of the project.
    pub(crate) fn is_module(&self, dotted: &str) -> bool {
        self.by_name.contains_key(dotted) || self.packages.contains(dotted)
    }

    /// What a dotted name stands for, imports of the project followed to where they come from.
    pub(crate) fn canonical(&self, dotted: &str) -> Vec<Target> {
        self.canonical_within(dotted, 0)
    }

    fn canonical_within(&self, dotted: &str, steps: u32) -> Vec<Target> {
        let top_level = dotted.split('.').next().unwrap_or(dotted);
        if !self.top_levels.contains(top_level) {
            return vec![Target { name: cut(dotted).to_owned(), local: false }];
        }
        if is_cut(dotted) {
            return vec![Target::ambiguous()];
        }
        let Some((index, rest)) = self.split_module(dotted) else {
            let local = self.packages.contains(dotted);
            return vec![Target { name: dotted.to_owned(), local }];
        };
        let Some(module) = self.modules.get(index) else { return Vec::new() };
        let (member, attributes) = rest.split_once('.').unwrap_or((rest, ""));
        if member.is_empty() {
            return vec![Target { name: module.name.clone(), local: true }];
        }
        let found = self.member(index, Key::new(member), steps);
        let own = join(&module.name, member);
        let mut targets = bounded(found.iter().flat_map(|target| {
            let of_own = target.name.strip_prefix(own.as_str()).filter(|_| target.local);
            match of_own {
                // A definition of that very module: its attributes lead nowhere else, and asking again would not end.
                Some("") if is_joined(dotted, &module.name, rest) => {
                    vec![Target::own(join(&target.name, attributes))]
                }
                // An attribute of itself: what else it stands for is there beside it.
                Some(attribute) if attribute.starts_with('.') => Vec::new(),
                _ => self.extend(target, attributes, steps),
            }
        }));
        if targets.is_empty() {
            targets.push(Target::own(dotted.to_owned()));
        }
        targets
    }

    /// The module that the longest prefix names, and the rest.
    fn split_module<'d>(&self, dotted: &'d str) -> Option<(usize, &'d str)> {
        if let Some(index) = self.by_name.get(dotted) {
            return Some((*index, ""));
        }
        prefixes(dotted, self.parts_max).find_map(|prefix| {
            let index = self.by_name.get(prefix)?;
            Some((*index, dotted.get(prefix.len() + 1..)?))
        })
    }

    /// A target and attributes of it; a local one may lead to another module.
    pub(crate) fn extend(&self, target: &Target, attributes: &str, steps: u32) -> Vec<Target> {
        let name = join(&target.name, attributes);
        if attributes.is_empty() || !target.local {
            return vec![Target { name, local: target.local }];
        }
        if steps >= STEPS_MAX || is_cut(&name) {
            return vec![Target::ambiguous()];
        }
        match self.split_module(&name) {
            // Only a module can lead elsewhere; an attribute of a definition stays its attribute.
            Some((_, rest)) if !is_joined(&name, &target.name, rest) => {
                self.canonical_within(&name, steps + 1)
            }
            Some((_, rest)) if self.by_name.contains_key(&target.name) && !rest.is_empty() => {
                self.canonical_within(&name, steps + 1)
            }
            _ => vec![Target { name, local: true }],
        }
    }

    /// What a name of a module stands for.
    pub(crate) fn member(&self, index: usize, name: Key<'_>, steps: u32) -> Targets {
        let Some(module) = self.modules.get(index) else { return Targets::default() };
        let own = || Target::own(join(&module.name, name.text()));
        let Some(binding) = module.scope.names.get(&name) else {
            return self.unbound_member(index, name, steps, own);
        };
        let found = binding.found.borrow().clone();
        if let Some(found) = found {
            if steps > 0 || binding.settled.get() {
                return found;
            }
            return self.settle(binding, found);
        }
        // While it is being found, it is itself: a circle of imports ends there.
        *binding.found.borrow_mut() = Some(Rc::new(vec![own()]));
        let targets = if steps < STEPS_MAX {
            let imports = binding.imports.iter();
            let imports = imports.flat_map(|import| self.canonical_within(import, steps + 1));
            let aliases = binding.aliases.iter();
            let aliases = aliases.flat_map(|alias| self.alias(index, alias, steps + 1));
            let mut targets = bounded(imports.chain(aliases));
            if targets.is_empty() || binding.opaque {
                targets.push(own());
            }
            targets
        } else {
            vec![Target::ambiguous()]
        };
        let targets = Rc::new(targets);
        *binding.found.borrow_mut() = Some(Rc::clone(&targets));
        if steps > 0 { targets } else { self.settle(binding, targets) }
    }

    /// Follows what was found for a binding, once, when it is asked for from outside any circle.
    fn settle(&self, binding: &Binding<'a>, found: Targets) -> Targets {
        binding.settled.set(true);
        if found.iter().all(|target| !target.local) {
            return found;
        }
        let targets = Rc::new(self.follow(found.to_vec()));
        *binding.found.borrow_mut() = Some(Rc::clone(&targets));
        targets
    }

    /// What was found inside a circle may be called by what was still being found: that is followed now.
    pub(crate) fn follow(&self, found: Vec<Target>) -> Vec<Target> {
        let mut targets = found;
        let mut next = 0;
        while let Some(target) = targets.get(next).filter(|_| targets.len() <= TARGETS_MAX) {
            next += 1;
            if target.local && self.split_module(&target.name).is_some() {
                let further = self.canonical_within(&target.name, 1);
                targets = bounded(targets.into_iter().chain(further));
            }
        }
        targets
    }

    fn unbound_member(
        &self,
        index: usize,
        name: Key<'_>,
        steps: u32,
        own: impl Fn() -> Target,
    ) -> Targets {
        let key = (index, name.text().to_owned());
        if let Some(found) = self.unbound.borrow().get(&key) {
            return Rc::clone(found);
        }
        self.unbound.borrow_mut().insert(key.clone(), Rc::new(vec![own()]));
        let targets = self.star_member(index, name, steps).unwrap_or_else(|| vec![own()]);
        let targets = Rc::new(targets);
        self.unbound.borrow_mut().insert(key, Rc::clone(&targets));
        targets
    }

    /// What a name stands for that comes from Python's builtins; none when it does not.
    pub(crate) fn builtin(&self, name: Key<'_>) -> Option<Targets> {
        let target = || Rc::new(vec![Target { name: cut(name.text()).to_owned(), local: false }]);
        let Some(index) = builtin(name) else { return is_dunder(name.text()).then(target) };
        Some(Rc::clone(self.builtins.borrow_mut().entry(index).or_insert_with(target)))
    }

    /// What an unbound name of a module may stand for by its star imports.
    pub(crate) fn star_member(
        &self,
        index: usize,
        name: Key<'_>,
        steps: u32,
    ) -> Option<Vec<Target>> {
        let stars = &self.modules.get(index)?.scope.stars;
        let mut targets = Vec::new();
        for star in stars.iter().take(TARGETS_MAX) {
            match self.by_name.get(star.as_str()) {
                Some(other) if !self.offers(*other, name) => {}
                Some(other) if steps < STEPS_MAX => {
                    targets.extend(self.member(*other, name, steps + 1).iter().cloned());
                }
                Some(_) => targets.push(Target::ambiguous()),
                None => targets.push(Target { name: join(star, name.text()), local: false }),
            }
        }
        (!targets.is_empty()).then_some(targets)
    }

    fn offers(&self, index: usize, name: Key<'_>) -> bool {
        let scope = self.modules.get(index).map(|module| &module.scope);
        scope.is_some_and(|scope| scope.names.contains_key(&name) || !scope.stars.is_empty())
    }

    /// What a dotted expression at module level stands for.
    fn alias(&self, index: usize, expression: &Expr, steps: u32) -> Vec<Target> {
        let Some((root, attributes)) = dotted_parts(expression) else { return Vec::new() };
        let root = Key::new(root);
        let bound =
            self.modules.get(index).is_some_and(|module| module.scope.names.contains_key(&root));
        let builtin = if bound { None } else { self.builtin(root) };
        let roots = builtin.unwrap_or_else(|| self.member(index, root, steps));
        let attributes = attributes.join(".");
        roots.iter().flat_map(|target| self.extend(target, &attributes, steps)).collect()
    }
}

/// What a dotted name begins with, the longest first: of its parts not all, and not more than `parts_max`.
pub(crate) fn prefixes(dotted: &str, parts_max: usize) -> impl Iterator<Item = &str> {
    let bytes = dotted.bytes().enumerate();
    let dots = bytes.filter(|(_, byte)| *byte == b'.').take(parts_max).map(|(at, _)| at);
    let dots: SmallVec<[usize; 8]> = dots.collect();
    dots.into_iter().rev().filter_map(|at| dotted.get(..at))
}

/// What a chain of attributes starts from, and the attributes in the order written.
pub(crate) fn dotted_path(expression: &Expr) -> (&Expr, Path<'_>) {
    let mut attributes = Path::new();
    let mut base = expression;
    while let Expr::Attribute(attribute) = base {
        attributes.push(attribute.attr.as_str());
        base = &attribute.value;
    }
    attributes.reverse();
    (base, attributes)
}

/// The root and the attributes of a dotted name.
pub(crate) fn dotted_parts(expression: &Expr) -> Option<(&str, Path<'_>)> {
    let (base, attributes) = dotted_path(expression);
    Some((base.as_name_expr()?.id.as_str(), attributes))
}

/// Dotted name of the module in a file, and of the package that relative imports start from.
fn module_name(path: &str) -> (String, String) {
    let stem = path.strip_suffix(".py").unwrap_or(path);
    let dotted = stem.replace('/', ".");
    let folder = dotted.rsplit_once('.').map_or("", |(folder, _)| folder).to_owned();
    match dotted.strip_suffix("__init__") {
        Some(package) if package.is_empty() || package.ends_with('.') => (folder.clone(), folder),
        _ => (dotted, folder),
    }
}
