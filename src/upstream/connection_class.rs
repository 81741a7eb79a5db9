//! The two classes of connections and their limits.

/// The class of connection that a request uses.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ConnectionClass {
    Requests,
    Watches,
}

/// HTTP/2 settings of a connection. A window is the number of bytes that the server may send before
/// they are read.
#[derive(Clone, Copy, Debug)]
pub(super) struct ConnectionLimits {
    pub(super) stream_window_bytes: u32,
    pub(super) connection_window_bytes: u32,
    /// Streams on one connection, even if the server allows more.
    pub(super) streams_max: usize,
    /// Buffer size between TCP and TLS. Without a buffer, rustls makes five system calls for a full record.
    pub(super) read_buffer_bytes: usize,
}

impl ConnectionClass {
    /// Returns the value of the metric label `class`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Watches => "watches",
        }
    }

    /// Returns the limits. The connection window covers the windows of all streams. It is at least
    /// 16 MiB, because half of it is h2's budget for small frames that were not read yet (`GOAWAY
    /// too_many_data_frames`).
    pub(super) fn limits(self) -> ConnectionLimits {
        match self {
            Self::Requests => ConnectionLimits {
                stream_window_bytes: 1 << 20,
                connection_window_bytes: 16 << 20,
                streams_max: 16,
                read_buffer_bytes: 64 << 10,
            },
            Self::Watches => ConnectionLimits {
                stream_window_bytes: 64 << 10,
                connection_window_bytes: 16 << 20,
                streams_max: 256,
                read_buffer_bytes: 16 << 10,
            },
        }
    }
}
