internal import CSQLite

/// What SQLite answered: an extended result code, whose low eight bits are its primary code (sqlite.org/rescode.html).
package struct ResultCode: Sendable, Hashable, CustomStringConvertible {
    /// Everything SQLite said, e.g. 522 (`SQLITE_IOERR_SHORT_READ`).
    package let extended: Int32

    package init(extended: Int32) {
        self.extended = extended
    }

    /// The family, e.g. 10 (`SQLITE_IOERR`).
    package var primary: Int32 { extended & 0xFF }

    /// Whether this is `family` or one of its members: a primary code matches all its extended codes, an extended code only
    /// itself.
    package func matches(_ family: ResultCode) -> Bool {
        extended == family.extended || (family.extended == family.primary && primary == family.primary)
    }

    package static let error = ResultCode(extended: SQLITE_ERROR)
    package static let busy = ResultCode(extended: SQLITE_BUSY)
    package static let locked = ResultCode(extended: SQLITE_LOCKED)
    package static let readOnly = ResultCode(extended: SQLITE_READONLY)
    package static let interrupted = ResultCode(extended: SQLITE_INTERRUPT)
    package static let inputOutput = ResultCode(extended: SQLITE_IOERR)
    package static let inputOutputRead = ResultCode(extended: SQLITE_IOERR | 1 << 8)
    package static let corrupt = ResultCode(extended: SQLITE_CORRUPT)
    package static let full = ResultCode(extended: SQLITE_FULL)
    package static let cannotOpen = ResultCode(extended: SQLITE_CANTOPEN)
    package static let constraint = ResultCode(extended: SQLITE_CONSTRAINT)
    package static let notADatabase = ResultCode(extended: SQLITE_NOTADB)

    /// The primary code's name, e.g. `SQLITE_FULL`; `SQLITE_<number>` for those that have no name here.
    package var name: String {
        switch primary {
        case SQLITE_ERROR: "SQLITE_ERROR"
        case SQLITE_PERM: "SQLITE_PERM"
        case SQLITE_ABORT: "SQLITE_ABORT"
        case SQLITE_BUSY: "SQLITE_BUSY"
        case SQLITE_LOCKED: "SQLITE_LOCKED"
        case SQLITE_NOMEM: "SQLITE_NOMEM"
        case SQLITE_READONLY: "SQLITE_READONLY"
        case SQLITE_INTERRUPT: "SQLITE_INTERRUPT"
        case SQLITE_IOERR: "SQLITE_IOERR"
        case SQLITE_CORRUPT: "SQLITE_CORRUPT"
        case SQLITE_FULL: "SQLITE_FULL"
        case SQLITE_CANTOPEN: "SQLITE_CANTOPEN"
        case SQLITE_SCHEMA: "SQLITE_SCHEMA"
        case SQLITE_TOOBIG: "SQLITE_TOOBIG"
        case SQLITE_CONSTRAINT: "SQLITE_CONSTRAINT"
        case SQLITE_MISMATCH: "SQLITE_MISMATCH"
        case SQLITE_MISUSE: "SQLITE_MISUSE"
        case SQLITE_RANGE: "SQLITE_RANGE"
        case SQLITE_NOTADB: "SQLITE_NOTADB"
        default: "SQLITE_\(primary)"
        }
    }

    /// Name, number when extended, and SQLite's own sentence, which never holds values: `SQLITE_FULL, database or disk is full`.
    package var description: String {
        let number = extended == primary ? "" : " (\(extended))"
        let sentence = unsafe sqlite3_errstr(extended).map { unsafe String(cString: $0) } ?? "unknown"
        return "\(name)\(number), \(sentence)"
    }
}

/// Why SQLite did not do what it was asked. Safe to log: holds neither bound values nor `sqlite3_errmsg`, which may quote them.
package struct SQLiteError: Error, Sendable, CustomStringConvertible {
    /// What was attempted: a verb and its object, or the beginning of the statement, whose values are never part of it.
    package let attempt: String
    package let code: ResultCode

    package init(attempt: String, code: ResultCode) {
        self.attempt = attempt
        self.code = code
    }

    package var description: String { "\(attempt): \(code)" }
}
