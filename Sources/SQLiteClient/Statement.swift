internal import CSQLite

/// A prepared statement. Made and kept by a ``Connection``, and usable only inside the closures that hand it over.
///
/// Parameters and columns are numbered from 1 and from 0, as in SQLite's own interface. A failed `bind` is remembered and
/// thrown by the step that follows, so binding reads as a plain list.
@safe package final class Statement {
    private let handle: OpaquePointer
    private let attempt: String
    private var bindCode: Int32 = SQLITE_OK

    init(handle: OpaquePointer, attempt: String) {
        unsafe self.handle = unsafe handle
        self.attempt = attempt
    }

    deinit {
        unsafe sqlite3_finalize(handle)
    }

    // MARK: Parameters

    package func bind(_ index: Int32, _ value: Int64) {
        note(unsafe sqlite3_bind_int64(handle, index, value))
    }

    package func bind(_ index: Int32, _ value: Int) {
        bind(index, Int64(value))
    }

    package func bind(_ index: Int32, _ value: Double) {
        note(unsafe sqlite3_bind_double(handle, index, value))
    }

    package func bindNull(_ index: Int32) {
        note(unsafe sqlite3_bind_null(handle, index))
    }

    /// Binds UTF-8 without copying: the bytes must stay where they are until the statement was run.
    package func bind(_ index: Int32, text bytes: UnsafeBufferPointer<UInt8>) {
        // A nil pointer would bind NULL; an empty text needs some address that lives for ever.
        let base = unsafe bytes.baseAddress ?? Self.empty
        unsafe base.withMemoryRebound(to: CChar.self, capacity: bytes.count) { characters in
            note(
                unsafe sqlite3_bind_text64(
                    handle,
                    index,
                    characters,
                    UInt64(bytes.count),
                    nil,
                    UInt8(truncatingIfNeeded: SQLITE_UTF8)
                )
            )
        }
    }

    /// Binds bytes without copying: they must stay where they are until the statement was run.
    package func bind(_ index: Int32, blob bytes: UnsafeBufferPointer<UInt8>) {
        let base = unsafe bytes.baseAddress ?? Self.empty
        note(unsafe sqlite3_bind_blob64(handle, index, base, UInt64(bytes.count), nil))
    }

    /// Binds a copy of `text`.
    package func bind(_ index: Int32, _ text: String) {
        // SQLITE_TRANSIENT, a macro that Swift cannot import: -1 as a function pointer means "copy".
        let copy = unsafe unsafeBitCast(-1, to: sqlite3_destructor_type.self)
        var text = text
        text.withUTF8 { bytes in
            let base = unsafe bytes.baseAddress ?? Self.empty
            unsafe base.withMemoryRebound(to: CChar.self, capacity: bytes.count) { characters in
                note(
                    unsafe sqlite3_bind_text64(
                        handle,
                        index,
                        characters,
                        UInt64(bytes.count),
                        copy,
                        UInt8(truncatingIfNeeded: SQLITE_UTF8)
                    )
                )
            }
        }
    }

    /// Binds a copy of another statement's current column, whatever its type.
    package func bind(_ index: Int32, column: Int32, of other: Statement) {
        note(unsafe sqlite3_bind_value(handle, index, sqlite3_column_value(other.handle, column)))
    }

    private static var empty: UnsafePointer<UInt8> {
        let text: StaticString = ""
        return unsafe text.utf8Start
    }

    private func note(_ code: Int32) {
        if code != SQLITE_OK, bindCode == SQLITE_OK { bindCode = code }
    }

    // MARK: Running

    /// Goes to the next row; false when there is none.
    package func step() throws(SQLiteError) -> Bool {
        guard bindCode == SQLITE_OK else {
            throw SQLiteError(attempt: "bind a parameter of \(attempt)", code: ResultCode(extended: bindCode))
        }
        let code = unsafe sqlite3_step(handle)
        switch code {
        case SQLITE_ROW: return true
        case SQLITE_DONE: return false
        default: throw SQLiteError(attempt: attempt, code: ResultCode(extended: code))
        }
    }

    /// Makes it ready for another run and forgets what was bound. The answer repeats the last step's error and is known.
    package func reset() {
        _ = unsafe sqlite3_reset(handle)
        _ = unsafe sqlite3_clear_bindings(handle)
        bindCode = SQLITE_OK
    }

    // MARK: Columns

    package func isNull(_ column: Int32) -> Bool {
        unsafe sqlite3_column_type(handle, column) == SQLITE_NULL
    }

    package func integer(_ column: Int32) -> Int64 {
        unsafe sqlite3_column_int64(handle, column)
    }

    package func double(_ column: Int32) -> Double {
        unsafe sqlite3_column_double(handle, column)
    }

    /// The column's text or blob where SQLite keeps it: valid until the next step or reset.
    package func bytes(_ column: Int32) -> UnsafeBufferPointer<UInt8> {
        // The order matters: the pointer first, then the length (sqlite.org/c3ref/column_blob.html).
        let base = unsafe sqlite3_column_blob(handle, column)
        let count = unsafe Int(sqlite3_column_bytes(handle, column))
        return unsafe UnsafeBufferPointer(
            start: base?.assumingMemoryBound(to: UInt8.self),
            count: base == nil ? 0 : count
        )
    }

    /// A copy of the column as a string; ill-formed UTF-8 is repaired.
    package func text(_ column: Int32) -> String {
        unsafe String(decoding: bytes(column), as: UTF8.self)
    }
}
