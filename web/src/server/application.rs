//! actix-web applications as the server takes them, for what is not asked a hundred thousand times a second.

use actix_http::{Request, Response};
use actix_service::{IntoServiceFactory as _, ServiceFactory, ServiceFactoryExt as _, map_config};
use actix_web::App;
use actix_web::body::BoxBody;
use actix_web::dev::{AppConfig, ServiceRequest, ServiceResponse};

/// What actix-web calls an application's inside.
pub trait AppService:
    ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<BoxBody>,
        Error = actix_web::Error,
        InitError = (),
        Future: 'static,
    > + 'static
{
}

impl<T> AppService for T where
    T: ServiceFactory<
            ServiceRequest,
            Config = (),
            Response = ServiceResponse<BoxBody>,
            Error = actix_web::Error,
            InitError = (),
            Future: 'static,
        > + 'static
{
}

/// The application as a service of actix-http's.
pub fn application(
    app: App<impl AppService>,
) -> impl ServiceFactory<
    Request,
    Config = (),
    Response = ServiceResponse<BoxBody>,
    Error = Response<BoxBody>,
    InitError = (),
> {
    let app = app
        .into_factory()
        .map_err(|error| error.error_response().into());
    // It holds one address for a whole server; ours is the connection's.
    map_config(app, |()| AppConfig::default())
}
