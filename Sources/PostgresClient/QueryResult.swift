internal import CPostgres

/// The rows of one statement, all in memory; freed with it. Text format throughout, as every column here is read once.
@safe
package struct QueryResult: ~Copyable {
    private let pointer: OpaquePointer

    init(_ pointer: OpaquePointer) {
        unsafe self.pointer = pointer
    }

    deinit {
        unsafe PQclear(pointer)
    }

    package var rowCount: Int { unsafe Int(PQntuples(pointer)) }
    package var columnCount: Int { unsafe Int(PQnfields(pointer)) }

    /// The command's name as the server reports it, e.g. `COMMIT` or `DELETE 3`.
    package var commandTag: String {
        guard let tag = unsafe PQcmdStatus(pointer) else { return "" }
        return unsafe String(cString: tag)
    }

    /// A column's text; `nil` for NULL. Traps outside the rows and columns there are.
    package func text(_ row: Int, _ column: Int) -> String? {
        precondition(row >= 0 && row < rowCount && column >= 0 && column < columnCount, "no such row or column")
        guard unsafe PQgetisnull(pointer, Int32(row), Int32(column)) == 0,
            let value = unsafe PQgetvalue(pointer, Int32(row), Int32(column))
        else { return nil }
        return unsafe String(cString: value)
    }

    /// A column as a whole number; `nil` for NULL or other text.
    package func integer(_ row: Int, _ column: Int) -> Int64? {
        text(row, column).flatMap { Int64($0) }
    }

    var status: ExecStatusType { unsafe PQresultStatus(pointer) }

    func field(_ code: Character) -> String? {
        guard let ascii = code.asciiValue, let text = unsafe PQresultErrorField(pointer, Int32(ascii)) else {
            return nil
        }
        return unsafe String(cString: text)
    }

    var errorMessage: String {
        guard let text = unsafe PQresultErrorMessage(pointer) else { return "" }
        return unsafe String(cString: text)
    }
}
