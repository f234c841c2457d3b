import Foundation
import PipelineTesting
import PostgresClient
import Testing

@Suite(.timeLimit(.minutes(10)))
struct ClientTests {
    private func connected() throws -> Connection {
        let cluster = try PostgresCluster.shared()
        return try Connection(
            ConnectionParameters(
                host: cluster.socketDirectory,
                port: cluster.port,
                database: "postgres",
                user: PostgresCluster.user,
                password: nil
            )
        )
    }

    @Test func `every SQLSTATE has a consequence`() {
        let expected: [SQLState.Consequence: [String]] = [
            .transient: [
                "40001", "40P01", "53100", "53200", "53300", "55P03", "55006", "57014", "57P01", "57P03", "58030",
                "25006",
                "25P02", "25P03", "26000", "XX000", "XX001", "54001", "99ZZZ", "00000", "F0001",
            ],
            .permanent: ["28P01", "28000", "3D000", "3F000", "42501", "42P01", "42703", "42601", "0A000", "44000"],
            .ambiguous: ["40003", "08007"],
            .poison: ["22001", "22021", "22P02", "22003", "23505", "23502", "21000", "54000", "P0001"],
            .connection: ["08000", "08006", "08P01"],
        ]
        for (consequence, codes) in expected {
            for code in codes { #expect(SQLState(code)?.consequence == consequence, "\(code)") }
        }
        for text in ["", "4000", "400010", "abcde", "42p01", "４2P01"] { #expect(SQLState(text) == nil) }
    }

    @Test func `values go to the server and back unchanged`() throws {
        let connection = try connected()
        var parameters = QueryParameters()
        parameters.append(Int64.min)
        parameters.append(-0.1)
        parameters.append("")
        parameters.append("a\u{1F980}'\"\\")
        parameters.append(data: [0, 255, 10])
        parameters.append(uuid: Array(0..<16))
        parameters.append(unixMicroseconds: -1)
        parameters.appendNull(.text)
        var numbers = ArrayColumn(.int8)
        numbers.append(Int64.max)
        numbers.appendNull()
        numbers.append(Int64(-1))
        parameters.append(numbers)
        parameters.append(ArrayColumn(.text))
        var texts = ArrayColumn(.text)
        for text in ["", "NULL", "{a,\"b\"}", "ü"] { texts.append(text: text.utf8) }
        parameters.append(texts)
        var flags = ArrayColumn(.bool)
        flags.append(true)
        flags.append(false)
        parameters.append(flags)
        let result = try connection.execute(
            """
            SELECT $1::bigint, $2::float8, $3::text, $4::text, encode($5::bytea, 'hex'), $6::uuid,
                $7::timestamptz AT TIME ZONE 'UTC', $8::text, $9::bigint[], $10::text[], $11::text[], $12::bool[]
            """,
            parameters,
            action: "echo"
        )
        let row = (0..<result.columnCount).map { result.text(0, $0) }
        #expect(
            row == [
                "-9223372036854775808", "-0.1", "", "a\u{1F980}'\"\\", "00ff0a", "00010203-0405-0607-0809-0a0b0c0d0e0f",
                "1969-12-31 23:59:59.999999", nil, "{9223372036854775807,NULL,-1}", "{}",
                "{\"\",\"NULL\",\"{a,\\\"b\\\"}\",ü}", "{t,f}",
            ]
        )
    }

    @Test func `one set of parameters serves statement after statement`() throws {
        let connection = try connected()
        try connection.prepare("twice", "SELECT $1::bigint * 2", action: "prepare")
        var parameters = QueryParameters()
        for value in [1, 2, 3] as [Int64] {
            parameters.removeAll()
            parameters.append(value)
            #expect(try connection.execute(prepared: "twice", parameters, action: "double").integer(0, 0) == value * 2)
        }
    }

    @Test func `an error in the middle of a script leaves the session usable`() throws {
        let connection = try connected()
        #expect(throws: PostgresError.self) {
            _ = try connection.run("SELECT 1; SELECT 1 / 0; SELECT 2", action: "divide")
        }
        #expect(connection.isUsable)
        #expect(try connection.run("SELECT 3", action: "go on").integer(0, 0) == 3)
    }

    @Test func `a copy nobody asked for ends the session instead of hanging it`() throws {
        let connection = try connected()
        #expect(throws: PostgresError.self) { _ = try connection.run("COPY (SELECT 1) TO STDOUT", action: "copy") }
        #expect(!connection.isUsable)
        #expect(throws: PostgresError.self) { _ = try connection.run("SELECT 1", action: "go on") }
    }

    @Test func `the session's settings are those asked for`() throws {
        let connection = try connected()
        let settings = [
            "statement_timeout": "15s", "lock_timeout": "5s", "idle_in_transaction_session_timeout": "30s",
            "synchronous_commit": "on", "application_name": "logboom", "client_encoding": "UTF8",
        ]
        for (name, value) in settings {
            #expect(try connection.run("SHOW \(name)", action: "show").text(0, 0) == value, "\(name)")
        }
    }

    @Test func `notices are counted and not printed`() throws {
        let connection = try connected()
        _ = try connection.run("DO $$ BEGIN RAISE NOTICE 'psst'; RAISE WARNING 'psst'; END $$", action: "whisper")
        #expect(connection.noticeCount == 2)
    }

    @Test func `messages about values name the column and not the value`() throws {
        let connection = try connected()
        _ = try connection.run("CREATE TEMP TABLE t (a text CONSTRAINT short CHECK (length(a) < 3))", action: "create")
        var parameters = QueryParameters()
        parameters.append("secret")
        for statement in ["INSERT INTO t VALUES ($1::text)", "SELECT $1::text::bigint"] {
            do throws(PostgresError) {
                _ = try connection.execute(statement, parameters, action: "store")
                Issue.record("\(statement) did not fail")
            } catch {
                #expect(!error.description.contains("secret"))
                #expect(error.kind == .server && !error.endsConnection)
            }
        }
        do throws(PostgresError) {
            _ = try connection.execute("INSERT INTO t VALUES ($1::text)", parameters, action: "store")
        } catch {
            #expect(error.description.contains("constraint short"))
        }
    }
}
