//! What the rules for response bodies stand for.

use crate::object_fields::Role;

/// The meaning of a rule for response bodies.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Target {
    /// The cells of a Table's row.
    Cells,
    /// The `field` of a Status cause.
    CauseField,
    CauseMessage,
    ColumnDefinitions,
    ContinueToken,
    /// The name in the details of a Status.
    DetailsName,
    EventType,
    /// A field of an object.
    Field(Role),
    /// A list item, a row or an event, buffered until it is kept or dropped.
    Item,
    Kind,
    /// A field of the object in the last-applied annotation.
    LastAppliedField(Role),
    Message,
    /// Metadata, buffered until all of it has been read.
    Metadata,
    /// A field of the object of a Table's row. In a custom resource, the same path has no meaning.
    RowField(Role),
    /// The object of a Table's row that the client did not request.
    UnwantedRowObject,
}
