/// The way back to one request's sender. A second answer is ignored, and one to a connection that ended.
///
/// `@unchecked Sendable`: it may be carried anywhere, but is used on the event loop only, as its connection is.
package struct Responder: @unchecked Sendable {
    private let connection: ConnectionHandler
    private let number: UInt32

    init(connection: ConnectionHandler, number: UInt32) {
        self.connection = connection
        self.number = number
    }

    package func respond(_ answer: HTTPAnswer) {
        connection.answered(number, answer)
    }

    /// Starts an event stream instead of one answer; `nil` when the sender is gone or pipelines.
    package func beginStream() -> EventStream? {
        connection.beginStream(number)
    }
}
