//! A path with its methods. What is mounted is what is described: a handler does not come
//! without the description of its operation.

use actix_web::http::Method;
use actix_web::{FromRequest, Handler, HttpResponse, Resource, Responder, web};

use super::description::{Description, Document};
use super::problem::Problem;

/// A path, its methods, and what is said about each.
pub(super) struct Endpoint {
    path: &'static str,
    resource: Resource,
    operations: Vec<(Method, fn() -> Description)>,
}

impl Endpoint {
    /// A path in actix's spelling, without methods as yet.
    pub(super) fn at(path: &'static str) -> Self {
        Self { path, resource: web::resource(path), operations: Vec::new() }
    }

    pub(super) fn get<F, Args>(self, handler: F, describe: fn() -> Description) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.on(Method::GET, handler, describe)
    }

    pub(super) fn post<F, Args>(self, handler: F, describe: fn() -> Description) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.on(Method::POST, handler, describe)
    }

    pub(super) fn put<F, Args>(self, handler: F, describe: fn() -> Description) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.on(Method::PUT, handler, describe)
    }

    pub(super) fn delete<F, Args>(self, handler: F, describe: fn() -> Description) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.on(Method::DELETE, handler, describe)
    }

    fn on<F, Args>(mut self, method: Method, handler: F, describe: fn() -> Description) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.resource = self.resource.route(web::method(method.clone()).to(handler));
        self.operations.push((method, describe));
        self
    }

    /// Mounts the path. Its other methods are refused, with those that it has.
    pub(super) fn mount(self, config: &mut web::ServiceConfig) {
        let methods: Vec<&str> =
            self.operations.iter().map(|(method, _)| method.as_str()).collect();
        let allow = methods.join(", ");
        let refuse = move || {
            let problem = Problem::method_not_allowed(allow.clone());
            async move { Err::<HttpResponse, Problem>(problem) }
        };
        config.service(self.resource.default_service(web::to(refuse)));
    }

    /// The path as OpenAPI spells it: what a part looks like is its schema's to say.
    fn described_path(&self) -> String {
        let parts = self.path.split('/').map(|part| match part.split_once(':') {
            Some((name, _)) => format!("{name}}}"),
            None => part.to_owned(),
        });
        parts.collect::<Vec<_>>().join("/")
    }

    /// Adds the operations to a description of the whole interface.
    pub(super) fn describe(&self, document: &mut Document) {
        for (method, describe) in &self.operations {
            document.add(self.described_path(), method, describe());
        }
    }
}
