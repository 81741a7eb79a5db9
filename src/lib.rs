#![allow(dead_code)]
pub mod authn;
pub mod body;
pub mod config;
pub mod discovery;
pub mod error;
pub mod listen;
pub mod mapping;
pub mod metrics;
pub mod openapi;
mod process;
pub mod proxy;
pub mod request_info;
pub mod rewrite;
pub mod route;
pub mod serve;
pub mod tls;
pub mod translate;
pub mod upstream;
