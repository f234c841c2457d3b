/// Why PostgreSQL did not do what was asked. Safe to log: it holds no query values and no password.
package struct PostgresError: Error, Sendable, CustomStringConvertible {
    package enum Kind: Sendable, Equatable {
        /// No connection was made.
        case connect
        /// The connection ended before an answer was read.
        case lost
        /// No answer within the time allowed. The connection is of no use afterwards.
        case timeout
        /// The server answered with an error.
        case server
    }

    package let kind: Kind
    /// From the server; `nil` when it said nothing.
    package let state: SQLState?
    /// `ERROR`, `FATAL` or `PANIC`, never translated; empty when the server said nothing.
    package let severity: String
    /// What was attempted, verb first: `upsert patterns`.
    package let action: String
    /// On which server: host, port and database.
    package let target: String
    package let message: String

    /// The session is gone, whatever the server still managed to say.
    package var endsConnection: Bool {
        kind != .server || severity == "FATAL" || severity == "PANIC"
    }

    /// SQLSTATE, or a word of our own where there is none.
    package var code: String {
        if let state { return state.code }
        return switch kind {
        case .connect: "CONNECT"
        case .lost: "CONNECTION_LOST"
        case .timeout: "TIMEOUT"
        case .server: "UNKNOWN"
        }
    }

    package var description: String {
        "\(action) in PostgreSQL \(target): \(code): \(message)"
    }

    /// One line of libpq's or the server's text, trimmed and bounded: messages end up in logs and JSON answers.
    static func line(_ text: String) -> String {
        let words = text.split(whereSeparator: { $0.isWhitespace || $0.isNewline })
        return String(words.joined(separator: " ").prefix(300))
    }
}
