//! What to type so that a debugger stands at a function's handler.

use std::convert::Infallible;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use local::Debugging;
use syn::visit::{self, Visit};

use crate::terminal::{hint, status, tell};
use crate::workspace::Workspace;

/// How often the stage is asked whether the function waits.
const INTERVAL: Duration = Duration::from_millis(100);

/// Tells of each process of the function that waits, and how to attach to it.
pub(super) async fn tell_of_waiting(
    debugging: &Debugging,
    function: &str,
    workspace: &Workspace,
) -> Infallible {
    status(
        "Debugging",
        format!("{function}: each of its processes waits for a debugger before its first event"),
    );
    let mut told = None;
    loop {
        let waiting = debugging.waiting_process().await;
        if let Some(process_id) = waiting
            && told != waiting
        {
            // The source may have changed since the process before it.
            let breakpoint = Breakpoint::of_handler(workspace, function);
            let debuggers = Debugger::installed();
            let what = format!("for a debugger of {function}, process {process_id}");
            status("Waiting", what);
            for debugger in &debuggers {
                tell(format_args!(
                    "    {}",
                    debugger.command(process_id, breakpoint.as_ref())
                ));
            }
            if debuggers.is_empty() {
                hint("install gdb or lldb, or attach the debugger of your editor to the process");
            }
            if let Some(scope @ ('2' | '3')) = ptrace_scope() {
                hint(format_args!(
                    "Linux lets only root attach to a process while /proc/sys/kernel/yama/ptrace_scope is {scope}"
                ));
            }
        }
        told = waiting;
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Who may debug whom, where the kernel has Yama:
/// <https://docs.kernel.org/admin-guide/LSM/Yama.html>.
fn ptrace_scope() -> Option<char> {
    let scope = std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").ok()?;
    scope.chars().next()
}

/// A line of the source.
#[derive(Debug, PartialEq, Eq)]
struct Breakpoint {
    /// Its path below the workspace, as the compiler gets it.
    file: PathBuf,
    line: usize,
}

impl Breakpoint {
    /// The first line in the handler of a function: of `handle`, or else of the first `async fn`
    /// that `main` does not consist of.
    fn of_handler(workspace: &Workspace, function: &str) -> Option<Self> {
        let package = workspace.root().join("functions").join(function);
        let files = ["src/lib.rs", "src/main.rs"].map(|file| package.join(file));
        files.iter().find_map(|file| {
            let line = handler_line(&std::fs::read_to_string(file).ok()?)?;
            let file = file.strip_prefix(workspace.cargo_root()).unwrap_or(file);
            Some(Self {
                file: file.to_owned(),
                line,
            })
        })
    }
}

impl fmt::Display for Breakpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

fn handler_line(source: &str) -> Option<usize> {
    let mut handlers = Handlers::default();
    handlers.visit_file(&syn::parse_file(source).ok()?);
    let named = handlers.0.iter().find(|(name, _)| name == "handle");
    let (_, begins) = named.or(handlers.0.first())?;
    let lines = source.lines().enumerate().skip(*begins);
    let mut code = lines.filter(|(_, line)| {
        let line = line.trim_start();
        !line.is_empty() && !line.starts_with("//")
    });
    Some(code.next()?.0 + 1)
}

/// The name of each `async fn`, and the line behind which its body begins.
#[derive(Default)]
struct Handlers(Vec<(String, usize)>);

impl Handlers {
    fn add(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let name = signature.ident.to_string();
        if signature.asyncness.is_some() && !matches!(name.as_str(), "main" | "start") {
            self.0
                .push((name, block.brace_token.span.open().start().line));
        }
    }
}

impl Visit<'_> for Handlers {
    fn visit_item_fn(&mut self, function: &syn::ItemFn) {
        self.add(&function.sig, &function.block);
    }

    fn visit_impl_item_fn(&mut self, function: &syn::ImplItemFn) {
        self.add(&function.sig, &function.block);
    }

    fn visit_item_mod(&mut self, module: &syn::ItemMod) {
        if module.ident != "tests" {
            visit::visit_item_mod(self, module);
        }
    }
}

/// A debugger that is installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Debugger {
    /// With the name of its program, which may be Rust's own, that shows Rust's types.
    Gdb(&'static str),
    Lldb(&'static str),
    /// Its extension CodeLLDB:
    /// <https://github.com/vadimcn/codelldb/blob/master/MANUAL.md#attaching-debugger-to-the-current-process-rust>.
    VsCode,
}

impl Debugger {
    fn installed() -> Vec<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
        Self::within(&folders)
    }

    fn within(folders: &[PathBuf]) -> Vec<Self> {
        let has = |program: &str| folders.iter().any(|folder| folder.join(program).is_file());
        // Rust's programs start the others.
        let with = |own, rusts| has(own).then(|| if has(rusts) { rusts } else { own });
        let gdb = with("gdb", "rust-gdb").map(Self::Gdb);
        let lldb = with("lldb", "rust-lldb").map(Self::Lldb);
        let code = has("code").then_some(Self::VsCode);
        [gdb, lldb, code].into_iter().flatten().collect()
    }

    /// What to type.
    fn command(self, process_id: u32, breakpoint: Option<&Breakpoint>) -> String {
        match (self, breakpoint) {
            (Self::Gdb(program), None) => format!("{program} -p {process_id}"),
            (Self::Gdb(program), Some(place)) => {
                format!("{program} -p {process_id} -ex 'break {place}' -ex continue")
            }
            (Self::Lldb(program), None) => format!("{program} -p {process_id}"),
            (Self::Lldb(program), Some(Breakpoint { file, line })) => format!(
                "{program} -p {process_id} -o 'breakpoint set --file {} --line {line}' -o continue",
                file.display()
            ),
            (Self::VsCode, _) => format!(
                "code --open-url \"vscode://vadimcn.vscode-lldb/launch/config?{{'request':'attach','pid':{process_id}}}\""
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_handler_is_found_in_a_library_and_in_a_program() {
        let library = "
/// Docs.
pub struct Sell;
impl Sell {
    async fn first(&self) {
        self.x().await
    }
    /// Handles it.
    pub async fn handle(&self) -> Result<(), E> {
        // A comment.
        let x = 1;
        Ok(())
    }
}
mod tests {
    async fn handle() { one() }
}";
        assert_eq!(handler_line(library), Some(11));
        let program = "
async fn main() { run().await }
async fn start() -> Result<(), Error> { serve().await }
fn not_async() { here() }
impl Counter {
    async fn answer(&self,
    ) -> u8 {
        1
    }
}";
        assert_eq!(handler_line(program), Some(8));
        assert_eq!(handler_line("fn main() {}"), None);
        assert_eq!(handler_line("fn main("), None);
    }

    #[test]
    fn the_commands_are_those_of_what_is_installed() {
        let folder = tempfile::TempDir::new().unwrap();
        let installed = || Debugger::within(&[folder.path().to_owned()]);
        let install = |program: &str| std::fs::write(folder.path().join(program), "").unwrap();
        install("rust-lldb");
        assert_eq!(installed(), []);
        for program in ["gdb", "lldb", "code"] {
            install(program);
        }
        let all = [
            Debugger::Gdb("gdb"),
            Debugger::Lldb("rust-lldb"),
            Debugger::VsCode,
        ];
        assert_eq!(installed(), all);
        let place = Breakpoint {
            file: "functions/sell/src/lib.rs".into(),
            line: 9,
        };
        assert_eq!(
            all.map(|debugger| debugger.command(7, Some(&place))),
            [
                "gdb -p 7 -ex 'break functions/sell/src/lib.rs:9' -ex continue",
                "rust-lldb -p 7 -o 'breakpoint set --file functions/sell/src/lib.rs --line 9' -o continue",
                "code --open-url \"vscode://vadimcn.vscode-lldb/launch/config?{'request':'attach','pid':7}\"",
            ]
        );
        assert_eq!(Debugger::Gdb("rust-gdb").command(7, None), "rust-gdb -p 7");
    }
}
