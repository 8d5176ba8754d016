//! actix-web applications as the server takes them, for what is not asked a hundred thousand times a second.

use actix_http::{Request, Response};
use actix_service::{IntoServiceFactory as _, ServiceFactory, ServiceFactoryExt as _, map_config};
use actix_web::body::BoxBody;
use actix_web::dev::{AppConfig, ServiceRequest, ServiceResponse, fn_service};
use actix_web::{App, HttpRequest, HttpResponse};

/// An application that answers every request by one function, as a service of actix-http's.
pub fn application<F, R>(
    answer: F,
) -> impl ServiceFactory<
    Request,
    Config = (),
    Response = ServiceResponse<BoxBody>,
    Error = Response<BoxBody>,
    InitError = (),
>
where
    F: Fn(HttpRequest) -> R + Clone + 'static,
    R: Future<Output = HttpResponse<BoxBody>> + 'static,
{
    let app = App::new().default_service(fn_service(move |request: ServiceRequest| {
        let (request, _) = request.into_parts();
        let answered = answer(request.clone());
        async move { Ok::<_, actix_web::Error>(ServiceResponse::new(request, answered.await)) }
    }));
    let app = app
        .into_factory()
        .map_err(|error| error.error_response().into());
    // It holds one address for a whole server; ours is the connection's.
    map_config(app, |()| AppConfig::default())
}
