internal import Delivery
internal import Ports
internal import SQLiteClient

extension SQLiteError {
    /// What it means for what was being written. Full, busy, unreadable, damaged or read-only files are all mended from
    /// outside (or by setting the file aside), and nothing was applied; only a value that no database takes is poison.
    var failureClass: FailureClass {
        switch code.name {
        case "SQLITE_TOOBIG", "SQLITE_MISMATCH", "SQLITE_CONSTRAINT": .poison
        case "SQLITE_MISUSE", "SQLITE_RANGE": .permanent
        default: .transient
        }
    }

    /// Whether the file itself is broken, so that only another one helps.
    var isDamage: Bool {
        code.matches(.corrupt) || code.matches(.notADatabase)
    }
}

extension SinkError {
    init(_ error: SQLiteError) {
        self.init(error.failureClass, code: error.code.name, error.description)
    }
}
