import Foundation
import LogModel
import PipelineTesting
import SQLiteClient
import Testing

@Suite struct SQLiteClientTests {
    private func memory() throws -> Connection { try Connection(path: "", access: .memory) }

    @Test func `values come back as they went in`() throws {
        let connection = try memory()
        try connection.execute("CREATE TABLE t (i INTEGER, d REAL, s TEXT, b BLOB, n TEXT) STRICT")
        let text = Array("a\0ü".utf8)
        let blob: [UInt8] = [0, 255, 0]
        try text.withUnsafeBufferPointer { text in
            try blob.withUnsafeBufferPointer { blob in
                _ = try connection.run("INSERT INTO t VALUES (?1, ?2, ?3, ?4, ?5)") { statement in
                    statement.bind(1, Int64.min)
                    statement.bind(2, -0.5)
                    statement.bind(3, text: text)
                    statement.bind(4, blob: blob)
                    statement.bindNull(5)
                }
            }
        }
        #expect(connection.changes == 1)
        #expect(connection.lastInsertRowID == 1)
        var rows = 0
        try connection.query("SELECT * FROM t") { row in
            rows += 1
            #expect(row.integer(0) == .min)
            #expect(row.double(1) == -0.5)
            #expect(Array(row.bytes(2)) == text)
            #expect(Array(row.bytes(3)) == blob)
            #expect(row.isNull(4))
            return true
        }
        #expect(rows == 1)
    }

    @Test func `an empty text is not NULL`() throws {
        let connection = try memory()
        try connection.execute("CREATE TABLE t (s TEXT NOT NULL, b BLOB NOT NULL, u TEXT NOT NULL) STRICT")
        try connection.run("INSERT INTO t VALUES (?1, ?2, ?3)") { statement in
            statement.bind(1, text: ByteView(start: nil, count: 0))
            statement.bind(2, blob: ByteView(start: nil, count: 0))
            statement.bind(3, "")
        }
        #expect(try connection.integer("SELECT length(s) + length(b) + length(u) FROM t") == 0)
    }

    @Test func `a parameter that is not there is an error at the run, not silence`() throws {
        let connection = try memory()
        let error = try #require(throws: SQLiteError.self) {
            try connection.run("SELECT ?1") { $0.bind(2, Int64(1)) }
        }
        #expect(error.code.name == "SQLITE_RANGE")
        #expect(try connection.integer("SELECT ?1") == 0, "the statement is usable again")
    }

    @Test func `a family matches its members, a member only itself`() {
        let shortRead = ResultCode(extended: 522)
        #expect(shortRead.matches(.inputOutput))
        #expect(!shortRead.matches(ResultCode(extended: 778)))
        #expect(shortRead.matches(ResultCode(extended: 522)))
        #expect(!ResultCode.inputOutput.matches(shortRead))
        #expect(!shortRead.matches(.full))
        #expect(shortRead.description == "SQLITE_IOERR (522), disk I/O error")
        #expect(ResultCode.full.description == "SQLITE_FULL, database or disk is full")
    }

    @Test func `an error says what was attempted, and never a value`() throws {
        let connection = try memory()
        try connection.execute("CREATE TABLE t (s TEXT UNIQUE)")
        func insert() throws { try connection.run("INSERT INTO t VALUES (?1)") { $0.bind(1, "hunter2") } }
        try insert()
        let error = try #require(throws: SQLiteError.self) { try insert() }
        #expect(error.code.matches(.constraint))
        #expect(error.description.hasPrefix("run INSERT INTO t VALUES (?1): SQLITE_CONSTRAINT (2067), "))
        #expect(!error.description.contains("hunter2"))
    }

    @Test func `a transaction is whole or nothing`() throws {
        let connection = try memory()
        try connection.execute("CREATE TABLE t (i INTEGER NOT NULL)")
        func insert(_ value: String) throws(SQLiteError) {
            try connection.run("INSERT INTO t VALUES (\(value))")
        }
        #expect(throws: SQLiteError.self) {
            try connection.transaction { () throws(SQLiteError) -> Connection.Verdict<Void> in
                try insert("1")
                try insert("NULL")
                return .commit(())
            }
        }
        #expect(!connection.isInTransaction)
        let undone = try connection.transaction { () throws(SQLiteError) -> Connection.Verdict<Int> in
            try insert("1")
            return .rollback(7)
        }
        #expect(undone == 7)
        #expect(try connection.integer("SELECT count(*) FROM t") == 0)
        try connection.transaction { () throws(SQLiteError) -> Connection.Verdict<Void> in
            try insert("1")
            return .commit(())
        }
        #expect(try connection.integer("SELECT count(*) FROM t") == 1)
    }

    @Test func `a statement past its deadline is interrupted, and the connection goes on`() throws {
        let connection = try memory()
        let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
        let error = try #require(throws: SQLiteError.self) {
            try connection.withDeadline(after: .milliseconds(20)) { () throws(SQLiteError) in
                try connection.integer(endless)
            }
        }
        #expect(error.code.matches(.interrupted))
        #expect(try connection.integer("SELECT 5") == 5)
    }

    @Test func `a closed connection answers with an error`() throws {
        let connection = try memory()
        connection.close()
        connection.close()
        #expect(throws: SQLiteError.self) { try connection.execute("SELECT 1") }
        #expect(throws: SQLiteError.self) { try connection.integer("SELECT 1") }
        #expect(connection.changes == 0)
    }

    @Test func `a value past the bound is refused`() throws {
        let connection = try memory()
        let error = try #require(throws: SQLiteError.self) {
            try connection.integer("SELECT length(zeroblob(\(Connection.valueByteCountMax + 1)))")
        }
        #expect(error.code.name == "SQLITE_TOOBIG")
    }

    @Test func `a missing file is an error unless it may be made`() throws {
        let folder = try TemporaryDirectory()
        let error = try #require(throws: SQLiteError.self) {
            _ = try Connection(path: folder.file("none.db"), access: .readWrite)
        }
        #expect(error.code.matches(.cannotOpen))
        _ = try Connection(path: folder.file("none.db"), access: .readWriteCreate)
    }
}
