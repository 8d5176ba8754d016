//! The server's own answers: short, plain, and without anything about the machine.

use actix_web::HttpResponse;
use actix_web::body::BoxBody;
use actix_web::http::StatusCode;

/// What a request comes to whose client has not waited for its answer. Nobody reads it but who reads the access log.
pub fn client_left() -> StatusCode {
    StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST)
}

/// A status with its reason as the text.
pub fn status(status: StatusCode) -> HttpResponse<BoxBody> {
    text(status, status.canonical_reason().unwrap_or("Error"))
}

/// A status with a text.
pub fn text(status: StatusCode, text: &str) -> HttpResponse<BoxBody> {
    HttpResponse::build(status)
        .content_type("text/plain; charset=utf-8")
        .body(format!("{} {text}\n", status.as_u16()))
}
