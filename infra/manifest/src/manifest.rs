//! An app as it is declared: what is declared is part of the app at once.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use serde_json::Value;

use crate::check::Check;
use crate::deployer::{Deployer, Statement};
use crate::function::Declaration;
use crate::operator_value::OperatorValue;
use crate::origin::Origin;
use crate::overrides::Override;
use crate::resource_id::{Noun, ResourceId, Variable};
use crate::synthesis::Synthesis;

/// An app: its resources and the functions that work on them.
///
/// A method for each kind, such as [`bucket`](Self::bucket), declares a resource and returns a
/// handle: to say more of the resource, and to make triggers and grants of it.
///
/// ```
/// use manifest::{Manifest, kinds::BucketAction::GetObject};
///
/// let app = Manifest::new("shop");
/// let photos = app.bucket("photos").variable("PHOTOS_BUCKET_NAME");
/// app.function("resize")
///     .trigger(photos.object_created().suffix(".jpg"))
///     .grant(photos.allow([GetObject]));
/// assert_eq!(app.function_names(), ["resize"]);
/// ```
pub struct Manifest {
    name: String,
    resources: RefCell<Vec<Settle>>,
    functions: RefCell<Vec<Entry<Declaration>>>,
    overrides: RefCell<Vec<Entry<Override>>>,
}

/// Returns a resource as it is declared by now.
type Settle = Box<dyn Fn() -> Arc<dyn DeclaredResource>>;

impl Manifest {
    /// An app with nothing in it. `name`, in kebab-case, is the prefix of every name in an AWS
    /// account.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            resources: RefCell::default(),
            functions: RefCell::default(),
            overrides: RefCell::default(),
        }
    }

    /// The functions' names, which are also their packages' and binaries' names, sorted.
    #[must_use]
    pub fn function_names(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .functions()
            .into_iter()
            .map(|function| function.name)
            .collect();
        names.sort();
        names
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Its resources, as they are declared by now, each before its parts.
    pub(crate) fn resources(&self) -> Vec<Arc<dyn DeclaredResource>> {
        let resources = self.resources.borrow();
        let resources = resources.iter().map(|resource| resource());
        resources
            .flat_map(|resource| {
                let parts = resource.parts();
                std::iter::once(resource).chain(parts)
            })
            .collect()
    }

    /// Its functions, as they are declared by now.
    pub(crate) fn functions(&self) -> Vec<Declaration> {
        let functions = self.functions.borrow();
        functions.iter().map(Entry::get).collect()
    }

    /// Makes a resource part of the app.
    pub(crate) fn declare<T: DeclaredResource + Clone + 'static>(&self, resource: T) -> Entry<T> {
        let entry = Entry::new(resource);
        let declared = entry.clone();
        let settle = move || -> Arc<dyn DeclaredResource> { Arc::new(declared.get()) };
        self.resources.borrow_mut().push(Box::new(settle));
        entry
    }

    /// Its overrides, as they are declared by now.
    pub(crate) fn overrides(&self) -> Vec<Override> {
        let overrides = self.overrides.borrow();
        overrides.iter().map(Entry::get).collect()
    }

    /// Makes an override part of the app.
    pub(crate) fn declare_override(&self, property: Override) -> Entry<Override> {
        let entry = Entry::new(property);
        self.overrides.borrow_mut().push(entry.clone());
        entry
    }

    /// Makes a function part of the app.
    pub(crate) fn declare_function(&self, function: Declaration) -> Entry<Declaration> {
        let entry = Entry::new(function);
        self.functions.borrow_mut().push(entry.clone());
        entry
    }
}

impl fmt::Debug for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Manifest")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// What an app and a handle share while the app is declared.
pub(crate) struct Entry<T>(Rc<RefCell<T>>);

impl<T> Entry<T> {
    fn new(declared: T) -> Self {
        Self(Rc::new(RefCell::new(declared)))
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut T)) {
        change(&mut self.0.borrow_mut());
    }
}

impl<T: Clone> Entry<T> {
    /// What is declared by now.
    pub(crate) fn get(&self) -> T {
        self.0.borrow().clone()
    }
}

impl<T> Clone for Entry<T> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<T: fmt::Debug> fmt::Debug for Entry<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.borrow().fmt(f)
    }
}

/// What every resource has.
#[derive(Clone, Debug)]
pub(crate) struct Named {
    pub(crate) id: ResourceId,
    /// Where it is declared.
    pub(crate) origin: Origin,
    /// The variable that tells what it is called.
    pub(crate) variable: Option<String>,
}

impl Named {
    /// A resource that the caller of the function that calls this one declares.
    #[track_caller]
    pub(crate) fn by_caller(noun: &'static Noun, name: &str) -> Self {
        Self {
            id: ResourceId::new(noun, name),
            origin: Origin::of_caller(),
            variable: None,
        }
    }
}

/// A declared resource, as all else of the crate knows it.
pub(crate) trait DeclaredResource: Send + Sync {
    fn named(&self) -> &Named;

    /// The variables of every function that knows it.
    fn variables(&self) -> Vec<Variable> {
        let Named {
            id,
            origin,
            variable,
        } = self.named();
        let name = variable.as_ref().map(|name| Variable {
            of: id.clone(),
            name: name.clone(),
            value: id.value(),
            origin: *origin,
        });
        name.into_iter().collect()
    }

    /// What it passes on to, without a function between; for a picture of the app.
    fn leads_to(&self) -> Vec<ResourceId> {
        Vec::new()
    }

    /// The key of something in it, in sample events; null if they have none.
    fn sample_key(&self) -> Value {
        Value::Null
    }

    /// What functions can refer to beside the whole of it.
    fn parts(&self) -> Vec<Arc<dyn DeclaredResource>> {
        Vec::new()
    }

    /// The value that it refers to and that somebody else keeps, on the stage with this stack.
    fn operator_value(&self, _stack: &str) -> Option<OperatorValue> {
        None
    }

    /// The OpenAPI document that describes it.
    fn document(&self) -> Option<String> {
        None
    }

    /// The permissions that a deployment needs for it beside those for its kind.
    fn deployer_statements(&self, _deployer: &Deployer<'_>) -> Vec<Statement> {
        Vec::new()
    }

    /// What is wrong with it, and with the triggers made of it.
    fn check(&self, check: &mut Check<'_>);

    /// Its part of the template, and that of the triggers made of it.
    fn synth(&self, synthesis: &mut Synthesis<'_>);
}
