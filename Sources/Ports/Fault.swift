/// What kind of thing went wrong at a sink, as a person would name it. A closed set: it labels a metric. Found by the
/// error's code alone; what a failure means for the batch is ``SinkError/failureClass``.
package enum Fault: String, Sendable, CaseIterable {
    case noConnection = "no_connection"
    case connectionLost = "connection_lost"
    /// No answer in the time allowed: a black hole, or a hanging server.
    case timeout
    case login
    case databaseMissing = "database_missing"
    case tooManyConnections = "too_many_connections"
    case diskFull = "disk_full"
    /// Memory and other resources of the server.
    case resources
    case serverStopping = "server_stopping"
    /// A statement that took too long, or was cancelled by a person.
    case cancelled
    /// Serialization failure, deadlock.
    case conflict
    case locked
    case readOnly = "read_only"
    case rights
    /// A table or a column is missing, or another than ours.
    case schema
    /// A value that the type, or the database's encoding, does not take.
    case value
    /// A constraint, a trigger, a view's check: a rule that somebody added.
    case rule
    /// A limit of the server's, such as an index row's size.
    case limit
    case serverError = "server_error"
    /// An answer of HTTP that is none of the above.
    case answer
    /// A batch that cannot be decoded.
    case format
    case other

    /// - Parameter code: a ``SinkError/code``.
    package init(code: String) {
        self =
            switch code {
            case "CONNECT", "RESOLVE": .noConnection
            case "CONNECTION_LOST", "CLOSED", "ECONNRESET", "EPIPE": .connectionLost
            case "TIMEOUT", "ETIMEDOUT", "408", "504": .timeout
            case "BATCH_FORMAT", "BATCH": .format
            case "SCHEMA_NEWER", "SCHEMA_CHANGED": .schema
            case "SQLITE_FULL", "ENOSPC", "507": .diskFull
            case "401", "403": .login
            case _ where code.utf8.count == 3 && code.utf8.first == UInt8(ascii: "5"): .serverError
            case _ where code.utf8.count == 3 && Int(code) != nil: .answer
            default: Self(sqlState: code) ?? (code.hasPrefix("E") ? .noConnection : .other)
            }
    }

    /// `nil` when it is no SQLSTATE: five characters, of which every one in use holds a digit (PostgreSQL manual, appendix A).
    private init?(sqlState code: String) {
        guard code.utf8.count == 5, code.utf8.contains(where: { (0x30...0x39).contains($0) }) else { return nil }
        switch code {
        case "53300": self = .tooManyConnections
        case "53100": self = .diskFull
        case "57014": self = .cancelled
        case "25006": self = .readOnly
        case "42501": self = .rights
        default:
            switch code.prefix(2) {
            case "08": self = .connectionLost
            case "28", "0P", "0L": self = .login
            case "3D": self = .databaseMissing
            case "53": self = .resources
            case "57": self = .serverStopping
            case "40": self = .conflict
            case "55": self = .locked
            case "42", "3F": self = .schema
            case "21", "22": self = .value
            case "09", "20", "23", "27", "2F", "38", "39", "44", "P0": self = .rule
            case "54": self = .limit
            case "58", "F0", "XX": self = .serverError
            default: self = .other
            }
        }
    }
}

extension SinkError {
    package var fault: Fault { Fault(code: code) }
}
