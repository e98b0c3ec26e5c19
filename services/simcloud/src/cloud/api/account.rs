//! `/v2/account`: whose token it is.

use axum::Json;
use serde_json::{Value, json};

pub async fn show() -> Json<Value> {
    Json(json!({"account": {
        "droplet_limit": 25,
        "floating_ip_limit": 5,
        "email": "drill@example.com",
        "name": "Drill",
        "uuid": "00000000-0000-4000-8000-000000000001",
        "email_verified": true,
        "status": "active",
        "status_message": "",
    }}))
}
