//! Refusals in the shape that DigitalOcean gives them.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::json;

/// Why something was not done. The request's id is added where every answer gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    pub status: u16,
    pub id: &'static str,
    pub message: String,
}

impl Refused {
    fn new(status: u16, id: &'static str, message: &str) -> Self {
        Self { status, id, message: message.to_owned() }
    }

    pub fn unauthorized() -> Self {
        Self::new(401, "unauthorized", "Unable to authenticate you")
    }

    pub fn not_found() -> Self {
        Self::new(404, "not_found", "The resource you requested could not be found.")
    }

    pub fn method_not_allowed() -> Self {
        Self::new(405, "method_not_allowed", "The method is not allowed here.")
    }

    pub fn unprocessable(message: &str) -> Self {
        Self::new(422, "unprocessable_entity", message)
    }

    pub fn pending_event() -> Self {
        Self::unprocessable("Droplet already has a pending event.")
    }

    pub fn too_many_requests() -> Self {
        Self::new(429, "too_many_requests", "API Rate limit exceeded.")
    }

    pub fn server_error() -> Self {
        Self::new(500, "server_error", "Unexpected server-side error")
    }

    /// A status that a test asked for.
    pub fn of(status: u16) -> Self {
        match status {
            401 => Self::unauthorized(),
            404 => Self::not_found(),
            422 => Self::pending_event(),
            429 => Self::too_many_requests(),
            500 => Self::server_error(),
            503 => Self::new(503, "service_unavailable", "Service unavailable"),
            other => Self::new(other, "failed_on_demand", "The simulation was asked to answer so."),
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, Json(json!({"id": self.id, "message": self.message}))).into_response()
    }
}
