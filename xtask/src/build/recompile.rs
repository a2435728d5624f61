//! Compiles a function by the commands that cargo ran for it last, without cargo.
//!
//! After an edit, cargo takes a quarter of a second to find out what the watcher knows already: which file has changed. It
//! also waits while another cargo builds in the same target directory, as an editor's check does after each save.
//!
//! The compiler's output lies in a folder of its own here, and so does what it keeps for its next run. Cargo's target
//! directory stays as cargo left it. The watcher lets cargo build everything right afterwards, and what comes out then
//! is what stays on the stage.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use super::{Group, Told, sources};
use crate::environment::set_by_cargo;
use crate::workspace::Workspace;

/// The commands that cargo ran for functions.
#[derive(Debug)]
pub(crate) struct Recompiler {
    /// Where cargo runs the compiler for the workspace's packages.
    root: PathBuf,
    folder: PathBuf,
    /// Held by the process that compiles in the folder.
    lock: Option<File>,
    /// By the functions' names.
    recipes: BTreeMap<String, Recipe>,
}

/// How a function is compiled.
#[derive(Debug, Default)]
struct Recipe {
    /// Each before those that depend on it. The last is the function's executable.
    units: Vec<Unit>,
    /// What cargo has built: the function, and what goes with it.
    built: BTreeMap<String, PathBuf>,
    /// Whether the folder has what the compiler goes on from. Without it, cargo is quicker.
    is_prepared: bool,
}

/// A crate, and the compiler's command for it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Unit {
    /// With the hash that cargo adds, as its files are called.
    name: String,
    variables: Vec<(String, String)>,
    program: String,
    arguments: Vec<String>,
    /// Where cargo has the compiler write.
    folder: String,
    sources: BTreeSet<PathBuf>,
}

impl Recompiler {
    pub(crate) fn new(workspace: &Workspace) -> Self {
        Self {
            root: workspace.cargo_root().to_owned(),
            folder: workspace.target().join("package/local/recompiled"),
            lock: None,
            recipes: BTreeMap::new(),
        }
    }

    /// Forgets all commands. To be called if anything may have changed that decides on them, such as a `Cargo.toml`, and
    /// if cargo can compile what they cannot.
    pub(crate) fn forget(&mut self) {
        self.recipes.clear();
    }

    /// Takes up the commands that cargo has run to build a function after an edit.
    pub(crate) async fn learn(
        &mut self,
        function: &str,
        built: BTreeMap<String, PathBuf>,
        told: Told,
    ) {
        let told = told.await.unwrap_or_default();
        let Some(units) = Unit::all_of(&told, function, &self.root) else {
            self.recipes.remove(function);
            return;
        };
        let recipe = self.recipes.entry(function.to_owned()).or_default();
        recipe.take_up(units);
        recipe.built = built;
    }

    /// Compiles what was learned once, so that the next time is quick.
    pub(crate) async fn prepare(&mut self) {
        if self.recipes.values().all(|recipe| recipe.is_prepared) || !self.has_folder() {
            return;
        }
        for recipe in self.recipes.values_mut() {
            if !recipe.is_prepared {
                recipe.is_prepared = run(&recipe.units, &self.root, &self.folder).await;
            }
        }
        self.recipes.retain(|_, recipe| recipe.is_prepared);
    }

    /// Whether this process, and no other, compiles in the folder.
    fn has_folder(&mut self) -> bool {
        if self.lock.is_none() {
            self.lock = self.lock_folder().ok();
        }
        self.lock.is_some()
    }

    fn lock_folder(&self) -> std::io::Result<File> {
        fs::create_dir_all(&self.folder)?;
        let lock = File::create(self.folder.join(".lock"))?;
        lock.try_lock()?;
        // It is of an earlier process, and perhaps of another Cargo.lock.
        for name in [OUTPUT, INCREMENTAL] {
            let folder = self.folder.join(name);
            if folder.exists() {
                fs::remove_dir_all(&folder)?;
            }
            fs::create_dir(&folder)?;
        }
        Ok(lock)
    }

    /// How to compile a function after these sources of it have changed, and nothing else. None if only cargo can do it.
    pub(crate) fn after(&self, function: &str, changed: &[&Path]) -> Option<Recompilation<'_>> {
        let recipe = self.recipes.get(function)?;
        let units = recipe.concerned(changed)?;
        let executable = self.folder.join(OUTPUT).join(&units.last()?.name);
        let mut built = recipe.built.clone();
        built.insert(function.to_owned(), executable);
        recipe.is_prepared.then_some(Recompilation {
            recompiler: self,
            units,
            built,
        })
    }
}

/// The way from changed sources to an executable.
pub(crate) struct Recompilation<'a> {
    recompiler: &'a Recompiler,
    units: &'a [Unit],
    built: BTreeMap<String, PathBuf>,
}

impl Recompilation<'_> {
    /// None if the compiler fails. Cargo tells why.
    pub(crate) async fn run(self) -> Option<BTreeMap<String, PathBuf>> {
        let Recompiler { root, folder, .. } = self.recompiler;
        run(self.units, root, folder).await.then_some(self.built)
    }
}

const OUTPUT: &str = "output";
const INCREMENTAL: &str = "incremental";

impl Recipe {
    /// Adds what cargo has built after an edit: the crate that was edited, and those between it and the executable. What was
    /// there before and was not built now depends on none of these, so it comes first.
    fn take_up(&mut self, units: Vec<Unit>) {
        let is_old = |known: &Unit| units.iter().all(|unit| unit.name != known.name);
        self.units.retain(is_old);
        self.units.extend(units);
        self.is_prepared = false;
    }

    /// What must be compiled after a change of these files, if that is known of all of them.
    fn concerned(&self, changed: &[&Path]) -> Option<&[Unit]> {
        let position = |file: &&Path| {
            let mut units = self.units.iter();
            units.position(|unit| unit.sources.contains(*file))
        };
        let positions: Option<Vec<usize>> = changed.iter().map(position).collect();
        self.units.get(positions?.into_iter().min()?..)
    }
}

impl Unit {
    /// The commands for a function in what cargo has told. None if cargo has run anything else, such as a build script, or
    /// nothing at all.
    fn all_of(told: &str, function: &str, root: &Path) -> Option<Vec<Self>> {
        let lines = told.lines().map(str::trim_start);
        let commands = lines.filter_map(|line| line.strip_prefix("Running `"));
        let units: Option<Vec<Self>> = commands
            .map(|command| Self::of(command.strip_suffix('`')?, root))
            .collect();
        let units = units?;
        let executable = units.last()?;
        let crate_name = format!("{}-", function.replace('-', "_"));
        executable.name.starts_with(&crate_name).then_some(units)
    }

    /// Reads a command as cargo writes it: as a shell would, with variables in front.
    fn of(command: &str, root: &Path) -> Option<Self> {
        let mut words = shlex::split(command)?.into_iter().peekable();
        let mut variables = Vec::new();
        let variable = |word: &String| {
            let (name, value) = word.split_once('=')?;
            let is_name = name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            is_name.then(|| (name.to_owned(), value.to_owned()))
        };
        while let Some(found) = words.peek().and_then(variable) {
            variables.push(found);
            words.next();
        }
        let program = words.next()?;
        let arguments: Vec<String> = words.collect();
        let after = |option: &str| {
            let mut pairs = arguments.windows(2);
            pairs.find_map(|pair| (pair[0] == option).then_some(pair[1].as_str()))
        };
        if !matches!(after("--crate-type")?, "lib" | "rlib" | "bin") {
            return None;
        }
        // Cargo runs the compiler elsewhere for a package that is not of the workspace, and names its source in full.
        if !arguments.iter().any(|argument| is_source(argument, root)) {
            return None;
        }
        let mut suffixes = arguments.iter();
        let suffix = suffixes.find_map(|argument| argument.strip_prefix("extra-filename="))?;
        let name = format!("{}{suffix}", after("--crate-name")?);
        let folder = after("--out-dir")?.to_owned();
        let sources = sources(&Path::new(&folder).join(&name)).into_iter();
        Some(Self {
            sources: sources.map(|file| root.join(file)).collect(),
            name,
            variables,
            program,
            arguments,
            folder,
        })
    }

    /// The arguments that let the compiler write into another folder, and take from there what was written before.
    fn arguments(&self, before: &[Self], folder: &Path) -> Vec<String> {
        let output = folder.join(OUTPUT).display().to_string();
        let moved = |argument: &String| {
            if *argument == self.folder {
                return output.clone();
            }
            if argument.starts_with("incremental=") {
                return format!("incremental={}", folder.join(INCREMENTAL).display());
            }
            let library = before.iter().find_map(|unit| {
                let library = format!("{}/lib{}.", unit.folder, unit.name);
                let (name, kind) = argument.split_once(&library)?;
                Some(format!("{name}{output}/lib{}.{kind}", unit.name))
            });
            library.unwrap_or_else(|| argument.clone())
        };
        let mut arguments: Vec<String> = self.arguments.iter().map(moved).collect();
        if !before.is_empty() {
            arguments.extend(["-L".to_owned(), format!("dependency={output}")]);
        }
        arguments
    }
}

fn is_source(argument: &str, root: &Path) -> bool {
    let path = Path::new(argument);
    path.extension().is_some_and(|extension| extension == "rs")
        && path.is_relative()
        && root.join(path).exists()
}

/// Runs the compiler for one after the other; whether all went well. Dropping the future ends it.
async fn run(units: &[Unit], root: &Path, folder: &Path) -> bool {
    for (index, unit) in units.iter().enumerate() {
        let mut command = std::process::Command::new(&unit.program);
        for variable in set_by_cargo() {
            command.env_remove(variable);
        }
        command
            .args(unit.arguments(&units[..index], folder))
            .envs(unit.variables.iter().cloned())
            .current_dir(root)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let Ok(mut child) = tokio::process::Command::from(command)
            .process_group(0)
            .spawn()
        else {
            return false;
        };
        let group = Group::of(&child);
        let status = child.wait().await;
        std::mem::forget(group);
        if !status.is_ok_and(|status| status.success()) {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A workspace with a function `pay`, and what cargo tells of it.
    struct Ground(tempfile::TempDir);

    impl Ground {
        fn new() -> Self {
            let ground = Self(tempfile::TempDir::new().unwrap());
            for (unit, source) in [
                ("goods-1", "goods/src/lib.rs"),
                ("pay-2", "pay/src/main.rs"),
            ] {
                let written = ground.path(source);
                fs::create_dir_all(written.parent().unwrap()).unwrap();
                fs::write(written, "").unwrap();
                let rule = ground.path(&format!("deps/{unit}.d"));
                fs::create_dir_all(rule.parent().unwrap()).unwrap();
                fs::write(rule, format!("deps/{unit}.d: {source}\n")).unwrap();
            }
            ground
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn told(&self, name: &str, kind: &str, source: &str, more: &str) -> String {
            let deps = self.path("deps");
            let deps = deps.display();
            format!(
                "   Compiling {name}\n     Running `CARGO_PKG_DESCRIPTION='goods & prices' CARGO_PKG_README='' /bin/rustc --crate-name {name} \
                 {source} --crate-type {kind} --check-cfg 'cfg(feature, values(\"a\"))' -C extra-filename=-{} --out-dir {deps} \
                 -C incremental={deps}/../incremental -L dependency={deps}{more}`\n",
                if name == "goods" { 1 } else { 2 }
            )
        }

        fn goods(&self) -> String {
            self.told("goods", "lib", "goods/src/lib.rs", "")
        }

        fn pay(&self) -> String {
            let library = self.path("deps/libgoods-1.rlib");
            let external = format!(" --extern goods={}", library.display());
            self.told("pay", "bin", "pay/src/main.rs", &external)
        }

        fn units(&self, told: &str) -> Option<Vec<Unit>> {
            Unit::all_of(told, "pay", self.0.path())
        }
    }

    #[test]
    fn commands_are_read_as_cargo_writes_them() {
        let ground = Ground::new();
        let told = format!("       Fresh serde v1\n{}{}", ground.goods(), ground.pay());
        let units = ground.units(&told).unwrap();
        let [goods, pay] = units.as_slice() else {
            panic!("{units:?}");
        };
        assert_eq!(goods.name, "goods-1");
        assert_eq!(goods.program, "/bin/rustc");
        assert_eq!(goods.variables[0].1, "goods & prices");
        assert_eq!(goods.variables[1].1, "");
        assert!(
            goods
                .arguments
                .contains(&"cfg(feature, values(\"a\"))".to_owned())
        );
        assert_eq!(pay.sources, [ground.path("pay/src/main.rs")].into());
    }

    #[test]
    fn what_is_not_understood_is_left_to_cargo() {
        let ground = Ground::new();
        let refused = [
            String::new(),
            "     Running `/target/build/pay-3/build-script-build`\n".to_owned() + &ground.pay(),
            ground.pay().replace("rs --crate", "rs 'half --crate"),
            ground.told("pay", "proc-macro", "pay/src/main.rs", ""),
            ground.told("pay", "bin", "/elsewhere/pay/src/main.rs", ""),
            // Something else than the function comes last.
            ground.goods(),
        ];
        for told in refused {
            assert_eq!(ground.units(&told), None, "{told}");
        }
    }

    #[test]
    fn a_change_concerns_a_crate_and_what_depends_on_it() {
        let ground = Ground::new();
        let mut recipe = Recipe::default();
        let concerned = |recipe: &Recipe, files: &[&str]| {
            let paths: Vec<PathBuf> = files.iter().map(|file| ground.path(file)).collect();
            let paths: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
            let units = recipe.concerned(&paths)?;
            Some(
                units
                    .iter()
                    .map(|unit| unit.name.clone())
                    .collect::<Vec<_>>(),
            )
        };
        let (goods, pay) = ("goods/src/lib.rs", "pay/src/main.rs");
        recipe.take_up(ground.units(&ground.pay()).unwrap());
        assert_eq!(concerned(&recipe, &[pay]).unwrap(), ["pay-2"]);
        assert_eq!(concerned(&recipe, &[goods]), None);
        assert_eq!(concerned(&recipe, &[goods, pay]), None);

        let both = ground.goods() + &ground.pay();
        recipe.take_up(ground.units(&both).unwrap());
        assert_eq!(concerned(&recipe, &[pay]).unwrap(), ["pay-2"]);
        assert_eq!(
            concerned(&recipe, &[pay, goods]).unwrap(),
            ["goods-1", "pay-2"]
        );

        recipe.take_up(ground.units(&ground.pay()).unwrap());
        assert_eq!(concerned(&recipe, &[goods]).unwrap(), ["goods-1", "pay-2"]);
        assert_eq!(concerned(&recipe, &[]), None);
    }

    #[test]
    fn output_goes_elsewhere_and_is_taken_from_there() {
        let ground = Ground::new();
        let units = ground.units(&(ground.goods() + &ground.pay())).unwrap();
        let folder = Path::new("/own");
        let goods = units[0].arguments(&[], folder).join(" ");
        assert!(goods.contains("--out-dir /own/output -C incremental=/own/incremental"));
        let deps = ground.path("deps");
        assert!(goods.ends_with(&format!("-L dependency={}", deps.display())));
        let pay = units[1].arguments(&units[..1], folder).join(" ");
        assert!(
            pay.ends_with("--extern goods=/own/output/libgoods-1.rlib -L dependency=/own/output")
        );
        let alone = units[1].arguments(&[], folder).join(" ");
        assert!(alone.contains("deps/libgoods-1.rlib"));
    }
}
